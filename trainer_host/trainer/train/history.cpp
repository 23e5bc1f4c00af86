#include "trainer_host/trainer/train/history.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::train {
namespace {

using Json = nlohmann::json;

Json to_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::optional<double> optional_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<double>();
}

// Rows of earlier versions are shorter.
std::optional<double> optional_at(const Json& row, std::size_t index) {
  if (index >= row.size()) return std::nullopt;
  return optional_from(row.at(index));
}

}  // namespace

std::string to_csv(const std::vector<EpochRecord>& history) {
  std::ostringstream csv;
  csv.precision(9);
  csv << "epoch,stage,learning_rate,velocity_loss,gather_loss,held_out_velocity_loss,"
         "held_out_gather_loss,held_out_ssim,held_out_mae_m_per_s,seconds\n";
  const auto cell = [&](const std::optional<double>& value) {
    if (value && std::isfinite(*value)) csv << *value;
    csv << ',';
  };
  for (const EpochRecord& row : history) {
    csv << row.epoch << ',' << row.stage << ',' << row.learning_rate << ',' << row.velocity_loss
        << ',' << row.gather_loss << ',';
    cell(row.held_out_velocity_loss);
    cell(row.held_out_gather_loss);
    cell(row.held_out_ssim);
    cell(row.held_out_mae);
    csv << row.seconds << '\n';
  }
  return csv.str();
}

std::string history_to_json(const std::vector<EpochRecord>& history) {
  Json rows = Json::array();
  for (const EpochRecord& row : history) {
    rows.push_back({row.epoch, row.stage, row.learning_rate, row.velocity_loss, row.gather_loss,
                    to_json(row.held_out_ssim), to_json(row.held_out_mae), row.seconds,
                    to_json(row.held_out_velocity_loss), to_json(row.held_out_gather_loss)});
  }
  return json_text(rows);
}

Result<std::vector<EpochRecord>> history_from_json(const std::string& text) {
  std::vector<EpochRecord> history;
  try {
    for (const Json& row : Json::parse(text)) {
      OUTCROP_TRY(epoch, json_integer(row.at(0), "an epoch of its history", 1));
      OUTCROP_TRY(stage, json_integer(row.at(1), "a stage of its history", 1));
      history.push_back({.epoch = epoch,
                         .stage = stage,
                         .learning_rate = row.at(2).get<double>(),
                         .velocity_loss = row.at(3).get<double>(),
                         .gather_loss = row.at(4).get<double>(),
                         .held_out_velocity_loss = optional_at(row, 8),
                         .held_out_gather_loss = optional_at(row, 9),
                         .held_out_ssim = optional_from(row.at(5)),
                         .held_out_mae = optional_from(row.at(6)),
                         .seconds = row.at(7).get<double>()});
    }
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, std::string("its history is damaged: ") + error.what());
  }
  return history;
}

}  // namespace outcrop::train
