"""Partitions by currency pair, and how a model's pairs map to the pairs of its inputs."""

from __future__ import annotations

import dagster as dg

from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency, ModelSpec


def all_pairs(catalog: Catalog) -> dg.StaticPartitionsDefinition:
    """One partition per configured pair; shared by prices, bars, features and `pairs: all` models."""
    return dg.StaticPartitionsDefinition(list(catalog.pairs))


def of_model(spec: ModelSpec, catalog: Catalog) -> dg.StaticPartitionsDefinition:
    """The pairs of one model: the shared definition, or its own where it lists pairs.

    A job over two static definitions is refused by Dagster, so a model with a list has its own job.
    """
    return all_pairs(catalog) if spec.pairs == "all" else dg.StaticPartitionsDefinition(list(spec.pairs))


def forecast_at(frequency: Frequency, catalog: Catalog) -> dg.StaticPartitionsDefinition:
    """The pairs that any model forecasts at a frequency."""
    return dg.StaticPartitionsDefinition(list(catalog.forecast_at(frequency)))


def same_pair(key: dg.AssetKey) -> dg.AssetDep:
    """Depend on the same pair of `key`, even where `key` has more pairs."""
    return dg.AssetDep(key, partition_mapping=dg.IdentityPartitionMapping())


def every_pair(key: dg.AssetKey, pairs: tuple[str, ...]) -> dg.AssetDep:
    """An unpartitioned (panel) asset depends on these pairs of `key`."""
    return dg.AssetDep(key, partition_mapping=dg.SpecificPartitionsPartitionMapping(list(pairs)))


def of_its_pairs(key: dg.AssetKey, spec: ModelSpec, catalog: Catalog) -> dg.AssetDep:
    """An asset of many pairs depends on the same pair of a model's `key`, where the model forecasts it."""
    pairs = {pair: pair for pair in catalog.pairs_of(spec)}
    return dg.AssetDep(key, partition_mapping=dg.StaticPartitionMapping(pairs))
