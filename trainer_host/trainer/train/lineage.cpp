#include "trainer_host/trainer/train/lineage.hpp"

#include <nlohmann/json.hpp>

namespace outcrop::train {
namespace {

using OrderedJson = nlohmann::ordered_json;

Origin origin_from(const OrderedJson& json) {
  return {.file = json.at("file").get<std::string>(),
          .sha256 = json.at("sha256").get<std::string>(),
          .model = json.at("model").get<std::string>(),
          .stage = json.at("stage").get<std::int64_t>(),
          .epoch = json.at("epoch").get<std::int64_t>(),
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
  // A path may hold bytes that no JSON can.
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<Lineage> lineage_from_json(const std::string& text) {
  Lineage lineage;
  try {
    const auto json = OrderedJson::parse(text);
    if (!json.at("origin").is_null()) lineage.origin = origin_from(json.at("origin"));
    for (const OrderedJson& change : json.at("changes")) {
      lineage.changes.push_back({.epoch = change.at("after_epoch").get<std::int64_t>(),
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
