"""The science: (task, catalog, reader) to a product. Nothing here touches boto3, the environment or the clock."""
