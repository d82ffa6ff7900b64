"""`references/<frequency>`, `walk/<model_id>`, `scores/<model_id>`: every window's losses beside the references'.

`certificates/<model_id>`: what they come to.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.certify import certify, current
from fx_assets.evaluation.holdout import held_out
from fx_assets.evaluation.judge import HORIZONS
from fx_assets.evaluation.pictures.certificate import PICTURES, pictures_of
from fx_assets.evaluation.quality import CHECKS, check_scores
from fx_assets.evaluation.reference_table import reference_table
from fx_assets.evaluation.scoring import Beside, observed_at, score_live, score_walk, target_starts
from fx_assets.evaluation.version import CERTIFICATE_VERSION, CODE_VERSION
from fx_assets.evaluation.walk import WALK_SCHEMA, folds, selves_of, walk_table, walked
from fx_assets.features import stored
from fx_assets.forecasting import certificate as certificate_form
from fx_assets.forecasting.champion import RANDOM_WALK, serving_model
from fx_assets.forecasting.scores import summary
from fx_assets.models.inputs import history
from fx_assets.models.manifest import Manifest
from fx_assets.models.stored import Inputs, bars_table, data_version, load_inputs
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, inline_png, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.orchestration.upstream import require_state, require_version
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import Frequency, ModelSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.two_times import current_rows
from fx_assets.training.materials import Materials
from fx_assets.training.request import prepare
from fx_assets.training.trainers import needs_child

TABLE = "scores"
PANEL = "panel"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """The walk forward and the scores of each model."""
    models = catalog.models.values()
    return [
        *(_references(frequency, catalog) for frequency in catalog.forecast_frequencies()),
        *(_walk(spec, catalog) for spec in models if spec.evaluation.years),
        *(_scores(spec, catalog) for spec in models),
        *(_certificate(spec, catalog) for spec in models),
    ]


def _references(frequency: Frequency, catalog: Catalog) -> dg.AssetsDefinition:
    bars, years = keys.bars(frequency), catalog.walked_years(frequency)

    @dg.asset(
        key=keys.references(frequency),
        deps=[partitions.same_pair(bars)],
        partitions_def=partitions.all_pairs(catalog),
        group_name="references",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description="Variances by GARCH-t and HAR, fitted anew each year, at every origin that a model is judged on. "
        "A night adds its origin.",
    )
    def reference(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        table, spec = stored.bars_table(frequency), catalog.pairs[pair]
        state = require_state(stores, table, pair, bars)

        def compute() -> Draft:
            rows = history(pair, current_rows(stores.lake.read(table, pair)), calendar=spec.calendar)
            made = reference_table(rows, years, stores.lake.find(references_table(frequency), pair))
            notes = [text for text in pc.unique(made.column("notes")).to_pylist() if text]
            return Draft(made, facts={"origins": made.num_rows // len(HORIZONS), "notes": "; ".join(notes)})

        yield from publish_table(
            context,
            stores,
            table=references_table(frequency),
            pair=pair,
            fingerprint=fingerprint(state.content_hash, years, CODE_VERSION),
            compute=compute,
        )

    return reference


def references_table(frequency: Frequency) -> str:
    """Lake table of the references at a frequency."""
    return f"references/{frequency}"


def _walk(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    panel = spec.scope == "panel"
    trained, pairs = keys.checkpoint(spec.model_id), catalog.pairs_of(spec)
    asked = spec.evaluation

    @dg.asset(
        key=keys.walk(spec.model_id),
        # A model that cannot be trained tonight need not be trained on earlier years either.
        deps=[trained if panel else partitions.same_pair(trained)],
        partitions_def=None if panel else partitions.of_model(spec, catalog),
        group_name="walk",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        pool="gpu" if needs_child(spec) else None,
        description=f"Forecasts of earlier selves of `{spec.model_id}`, {asked.years:g} years before its held-out one: "
        f"everything fitted is fitted again for each {asked.refit_every}, on rows that end before it begins.",
    )
    def walk(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, scope = lake, PANEL if panel else context.partition_key
        request = prepare(stores.lake, catalog, spec, pairs if panel else (scope,))
        asked_for = folds(spec, request.histories)
        yield from publish_table(
            context,
            stores,
            table=walk_table(spec.model_id),
            pair=scope.upper(),
            fingerprint=fingerprint(*(f"{fold.fingerprint} {fold.cuts.test_until}" for fold in asked_for)),
            compute=lambda: _walked(
                context, stores, spec, Materials(request.histories, stores.scratch, request.features), scope.upper()
            ),
        )

    return walk


def _walked(
    context: dg.AssetExecutionContext, stores: Stores, spec: ModelSpec, materials: Materials, scope: str
) -> Draft:
    parts, facts = [WALK_SCHEMA.empty_table()], {}
    for fold, rows in walked(
        spec, materials, scope, settings=stores.settings, known=stores.lake.find(walk_table(spec.model_id), scope)
    ):
        parts.append(rows)
        facts[f"{fold.name}/origins"] = rows.num_rows
        context.log.info(
            f"{fold.name}: {rows.num_rows} origins, by what was learned until {fold.cuts.validate_until:%Y-%m-%d}"
        )
    return Draft(pa.concat_tables(parts), facts={"folds": len(parts) - 1, **facts})


def _scores(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    key, panel = keys.scores(spec.model_id), spec.scope == "panel"
    made = [keys.walk(spec.model_id) if spec.evaluation.years else keys.checkpoint(spec.model_id)]

    @dg.asset(
        key=key,
        deps=[
            *(upstream if panel else partitions.same_pair(upstream) for upstream in made),
            partitions.same_pair(keys.references(spec.frequency)),
        ],
        partitions_def=partitions.of_model(spec, catalog),
        group_name="scores",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description="Losses of each window that was never learned from, 1, 5 and 20 bars ahead: those of earlier "
        "selves, then those of the live version in its held-out last year. A night adds its new windows.",
    )
    def scores(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        scope = PANEL if panel else pair
        version = require_version(stores, spec.model_id, scope)
        data = data_version(stores.lake, pair, spec, catalog.features)
        made_of = [(references_table(spec.frequency), pair)]
        made_of += [(walk_table(spec.model_id), scope.upper())] if spec.evaluation.years else []
        states = [stores.lake.state(*each) for each in made_of]
        hashes = [None if state is None else state.content_hash for state in states]
        yield from publish_table(
            context,
            stores,
            table=TABLE,
            pair=pair,
            fingerprint=fingerprint(version.version, data, hashes, CODE_VERSION),
            compute=lambda: _draft(
                stores,
                spec,
                load_inputs(stores.lake, stores.artifacts, version, pair, spec, catalog),
                stores.lake.find(walk_table(spec.model_id), scope.upper()) if spec.evaluation.years else None,
            ),
            mode="append",
        )

    return scores


def _draft(stores: Stores, spec: ModelSpec, inputs: Inputs, walk: pa.Table | None) -> Draft:
    manifest = Manifest.model_validate(inputs.manifest)
    pair = inputs.history.pair
    window = held_out(inputs.history, spec, manifest)
    bars = current_rows(stores.lake.read(bars_table(spec), pair))
    closes, observed = history(pair, bars), observed_at(inputs.history, bars)
    beside = Beside(closes, observed, stores.lake.find(references_table(spec.frequency), pair))
    live = score_live(inputs.predictor, inputs.history, window, manifest=manifest, beside=beside)
    parts = [live]
    if walk is not None:
        parts.append(score_walk(walk, inputs.history, spec.model_id, horizon=spec.horizon, beside=beside))
    facts = {
        f"h{h}/{name}": figures[name]
        for h, figures in summary(live).items()
        for name in ("crps", "crps_random_walk", "ratio", "coverage_80", "independent_windows")
    }
    fresh = _unseen(stores, pa.concat_tables(parts), pair, spec.model_id)
    counted = {"version": manifest.version, "walked": parts[1].num_rows if walk is not None else 0}
    return Draft(fresh, check_scores(live), {**facts, **counted}, unchanged=not fresh.num_rows)


def _unseen(stores: Stores, table: pa.Table, pair: str, model: str) -> pa.Table:
    """Rows of windows that are not on record yet for what forecast them: a score is never rewritten."""
    known = stores.lake.find(TABLE, pair)
    if known is None:
        return table
    key = ["model_version", "horizon", "origin"]
    rows = known.filter(pc.equal(known.column("model_id"), model)).select(key)
    # A join gives rows in any order, and rows are stored as they come.
    order = [("fold", "descending"), ("horizon", "ascending"), ("origin", "ascending")]
    return table.join(rows, keys=key, join_type="left anti").select(table.column_names).sort_by(order)


def _certificate(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    panel = spec.scope == "panel"
    # The walk that serves where nothing is known yet; another champion's scores are those on record.
    first = next((name for name, model in sorted(catalog.models.items()) if model.kind == RANDOM_WALK), spec.model_id)
    judged_by = dict.fromkeys([keys.scores(spec.model_id), keys.scores(first)])

    @dg.asset(
        key=keys.certificate(spec.model_id),
        deps=[partitions.same_pair(key) for key in judged_by],
        partitions_def=partitions.of_model(spec, catalog),
        group_name="certificates",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CERTIFICATE_VERSION),
        description=f"What `{spec.model_id}` was measured to be worth: location against the random walk, ranges "
        "against the random walk with the champion's volatility, volatility against GARCH-t and HAR, and its tails.",
    )
    def certificate(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        version = require_version(stores, spec.model_id, PANEL if panel else pair)
        decision = stores.control.decision_at(pair, spec.frequency)
        champion = serving_model(decision, catalog.models, pair, spec.frequency, catalog.pairs)
        judged = [
            stores.lake.state(TABLE, pair, asset=keys.scores(m).to_user_string()) for m in (spec.model_id, champion)
        ]
        trials = len(stores.control.trials(pair=pair))
        hashes = [None if state is None else state.content_hash for state in judged]
        yield from publish_table(
            context,
            stores,
            table=certificate_form.TABLE,
            pair=pair,
            fingerprint=fingerprint(version.version, hashes, champion, trials, CERTIFICATE_VERSION),
            compute=lambda: _certified(stores, catalog, spec, pair, version.version, champion, trials),
            mode="append",
        )

    return certificate


def _certified(
    stores: Stores, catalog: Catalog, spec: ModelSpec, pair: str, version: str, champion: str, trials: int
) -> Draft:
    scores = stores.lake.read(TABLE, pair)
    bars = current_rows(stores.lake.read(bars_table(spec), pair))
    rows = history(pair, bars)
    serving = catalog.models[champion]
    newest = require_version(stores, champion, serving.kept_under(pair)).version
    own = current(scores, spec.model_id, version, selves_of(stores.lake, spec, pair))
    theirs = current(scores, champion, newest, selves_of(stores.lake, serving, pair))
    made = certify(
        own,
        theirs,
        spec=spec,
        version=version,
        champion_id=champion,
        target_start=target_starts(rows, bars),
        trials=trials,
        now=datetime.now(UTC),
    )
    known = stores.lake.find(certificate_form.TABLE, pair)
    last = None if known is None else certificate_form.newest(known, spec.model_id, version)
    first = made.horizons[0]
    facts = {
        "verdict": made.verdict,
        **{f"verdict/{name}": getattr(made, name) for name in ("location", "density", "volatility")},
        **{f"h{first.horizon}/{name}": getattr(first, name) for name in ("windows", "coverage_80", "coverage_90")},
        "density_ratio": first.density.ratio or 0.0,
        "density_benchmark": champion,
        "digest": made.digest,
    }
    drawn = pictures_of(made, own, theirs, PICTURES[:2])
    shown = {
        "certificate": dg.MetadataValue.md(certificate_form.in_words(made)),
        **{name: inline_png(picture, f"{name} of {spec.model_id} on {pair}") for name, picture in drawn.items()},
    }
    return Draft(
        certificate_form.to_row(made),
        facts=facts,
        shown=shown,
        unchanged=last is not None and last.digest == made.digest,
    )
