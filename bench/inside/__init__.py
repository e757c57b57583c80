"""What runs inside the product's processes while they are measured."""
