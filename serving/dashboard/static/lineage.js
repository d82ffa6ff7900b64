// Where a forecast comes from, and where programs find it.

import * as api from "./api.js";
import { h } from "./dom.js";
import * as format from "./format.js";

/** Versions, hashes and times of a forecast. */
export function lineage(forecast) {
  const from = forecast.lineage;
  const entries = [
    ["Model", `${forecast.model_id} (${forecast.kind})`],
    ["Version", forecast.model_version],
    ["Trained until", format.moment(from.trained_until)],
    ["From the bar that ended", format.moment(forecast.origin)],
    ["Issued", `${format.moment(forecast.issued_at)} (${forecast.revision}${forecast.in_sample ? ", in sample" : ""})`],
    ["Forecast", forecast.forecast_id],
    ["Data version", from.data_version],
    ["Feature schema", from.feature_schema_hash ?? "no features"],
    ["Configuration", from.config_hash],
    ["Code", from.code_version],
    ["Run", from.run_id],
  ];
  const known = entries.filter(([, value]) => value);
  return [
    h("dl", { class: "lineage" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { title: value }, format.short(value))))),
    forecast.notes.length > 1 && h("ul", { class: "notes" }, forecast.notes.slice(1).map((note) => h("li", {}, note))),
  ];
}

/** Links and downloads of the document shown. */
export function links(forecast, complain) {
  const { pair, model_id: model, frequency } = forecast;
  const address = api.address(pair, { model, frequency });
  const name = `${pair}_${model}_${forecast.data_as_of}`;
  const download = (words, path, accept, file) =>
    h("button", { type: "button", onclick: () => api.save(path, accept, file).catch(complain) }, words);
  return [
    download("Forecast as JSON", address, "application/json", `${name}.json`),
    download("Forecast as CSV", address, "text/csv", `${name}.csv`),
    forecast.certificate && download("Certificate as JSON", api.certificateAddress(model, pair), "application/json", `${name}_certificate.json`),
    h("a", { href: address }, "Address of the forecast"),
  ];
}
