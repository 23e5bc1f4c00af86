#include "trainer_host/trainer/train/lineage.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::train {
namespace {

using OrderedJson = nlohmann::ordered_json;

Result<Origin> origin_from(const OrderedJson& json) {
  OUTCROP_TRY(stage, json_integer(json.at("stage"), "the stage of its lineage's origin", 1));
  OUTCROP_TRY(epoch, json_integer(json.at("epoch"), "the epoch of its lineage's origin", 0));
  return Origin{.file = json.at("file").get<std::string>(),
                .sha256 = json.at("sha256").get<std::string>(),
                .model = json.at("model").get<std::string>(),
                .stage = stage,
                .epoch = epoch,
                .data_digest = json.at("data_digest").get<std::string>()};
}

}  // namespace

Lineage Lineage::until(std::int64_t epoch) const {
  Lineage then{origin, {}};
  for (const Change& change : changes) {
    if (change.epoch < epoch) then.changes.push_back(change);
  }
  return then;
}

std::string lineage_to_json(const Lineage& lineage) {
  OrderedJson json{{"origin", nullptr}, {"changes", OrderedJson::array()}};
  if (const auto& origin = lineage.origin) {
    json["origin"] = {{"file", origin->file.string()}, {"sha256", origin->sha256},
                      {"model", origin->model},        {"stage", origin->stage},
                      {"epoch", origin->epoch},        {"data_digest", origin->data_digest}};
  }
  for (const Change& change : lineage.changes) {
    json["changes"].push_back({{"after_epoch", change.epoch},
                               {"key", change.key},
                               {"before", change.before},
                               {"now", change.now}});
  }
  return json_text(json, 2) + "\n";
}

Result<Lineage> lineage_from_json(const std::string& text) {
  Lineage lineage;
  if (nested_too_deeply(text, 8)) {
    return fail(ErrorCode::invalid_data, "its lineage is damaged: it is nested too deeply");
  }
  try {
    const auto json = OrderedJson::parse(text);
    if (!json.at("origin").is_null()) {
      OUTCROP_TRY(origin, origin_from(json.at("origin")));
      lineage.origin = std::move(origin);
    }
    for (const OrderedJson& change : json.at("changes")) {
      OUTCROP_TRY(epoch, json_integer(change.at("after_epoch"), "an epoch of its lineage", 0));
      lineage.changes.push_back({.epoch = epoch,
                                 .key = change.at("key").get<std::string>(),
                                 .before = change.at("before").get<std::string>(),
                                 .now = change.at("now").get<std::string>()});
    }
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, std::string("its lineage is damaged: ") + error.what());
  }
  return lineage;
}

}  // namespace outcrop::train
