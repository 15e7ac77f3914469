"""Lambda entry point: the DEM queue."""

from ard.product import Product
from consumers.handler import product_handler

handler = product_handler(Product.DEM)
