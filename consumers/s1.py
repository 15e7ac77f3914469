"""Lambda entry point: the Sentinel-1 queue."""

from ard.product import Product
from consumers.handler import product_handler

handler = product_handler(Product.S1)
