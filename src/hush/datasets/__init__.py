"""Images that are made, and the images of recipes with their frozen noise."""
