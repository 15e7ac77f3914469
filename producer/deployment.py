"""What a deployment makes of a request's options: defaults filled in, and what it does not offer refused."""

from collections.abc import Collection, Mapping

from ard.cost import SEED, Average, Estimate, estimate
from ard.errors import InvalidInput
from ard.product import Product
from ard.settings import ControlSettings
from producer.plan import Plan
from producer.request import Problems, RequestOptions

DEST_PLACE, PRODUCTS_PLACE = "/$options/dest", "/$options/products"


def complete_options(options: RequestOptions, problems: Problems, *, settings: ControlSettings) -> RequestOptions:
    """The options with a dest, products and a cap; what this deployment does not offer is added to the problems.

    The cap is the lower one of the request's and the deployment's.
    """
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
    caps = [cap for cap in (options.max_cost_usd, settings.max_cost_usd) if cap is not None]
    return options.model_copy(update={"dest": dest, "products": products, "max_cost_usd": min(caps, default=None)})


def check_memory(memory_mb: int, products: Collection[Product], *, settings: ControlSettings) -> None:
    """Pass a wish for memory that the functions of all these products have.

    Raises:
        InvalidInput: One has another memory: a queue's function has what it was deployed with.
    """
    deployed = {product: settings.queues[product].memory_mb for product in sorted(products)}
    if set(deployed.values()) != {memory_mb}:
        found = ", ".join(f"{product} {memory}" for product, memory in deployed.items())
        raise InvalidInput(
            f"expected the memory that the products are deployed with ({found} MB), found --mem {memory_mb}; "
            "leave --mem out, deploy with that memory (memory_mb in infra/functions.json), or use --via lithops"
        )


def estimate_of(
    plan: Plan,
    *,
    settings: ControlSettings,
    averages: Mapping[Product, Average] = SEED,
    made_already: Mapping[Product, int] | None = None,
) -> Estimate:
    """What a plan will cost here, by these averages and without the outputs that exist (counted per product)."""
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
        max_concurrency={product: queue.max_concurrency for product, queue in queues.items()},
        averages=averages,
        abroad=abroad,
    )


def _is_under(dest: str, allowed: str) -> bool:
    return dest == allowed or dest.startswith(allowed.rstrip("/") + "/")
