"""What a deployment makes of a request's options: defaults filled in, and what it does not offer refused."""

from collections.abc import Mapping

from ard.cost import Estimate, estimate
from ard.product import Product
from ard.settings import ControlSettings
from producer.plan import Plan
from producer.request import Problems, RequestOptions

DEST_PLACE, PRODUCTS_PLACE = "/$options/dest", "/$options/products"


def complete_options(options: RequestOptions, problems: Problems, *, settings: ControlSettings) -> RequestOptions:
    """The options with a dest and products; what this deployment does not offer is added to the problems."""
    dest = options.dest or settings.default_dest
    if not any(_is_under(dest, allowed) for allowed in settings.allowed_dests):
        allowed = ", ".join(settings.allowed_dests) or "nothing"
        problems.add(DEST_PLACE, f"expected a destination under what this deployment allows ({allowed}), found {dest}")
    there = tuple(sorted(settings.queues))
    products = there if options.products is None else options.products
    absent = [str(product) for product in products if product not in settings.queues]
    if absent or not products:
        problems.add(
            PRODUCTS_PLACE,
            f"expected products that this deployment makes ({', '.join(there) or 'none'}), found {', '.join(absent)}",
        )
    return options.model_copy(update={"dest": dest, "products": products})


def estimate_of(
    plan: Plan, *, settings: ControlSettings, made_already: Mapping[Product, int] | None = None
) -> Estimate:
    """What a plan will cost here, without the outputs that are there already (counted per product)."""
    there = made_already or {}
    queues = {product: settings.queues[product] for product in plan.products}
    # A dest without a region of its own is where the workers are.
    abroad = {
        product
        for product, queue in queues.items()
        if plan.dest.startswith("s3://") and settings.dest_region not in {None, queue.region}
    }
    return estimate(
        {product: count - there.get(product, 0) for product, count in plan.totals.items()},
        memory_mb={product: queue.memory_mb for product, queue in queues.items()},
        abroad=abroad,
    )


def _is_under(dest: str, allowed: str) -> bool:
    return dest == allowed or dest.startswith(allowed.rstrip("/") + "/")
