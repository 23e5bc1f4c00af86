#include "trainer_host/trainer/train/history.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::train {
namespace {

using Json = nlohmann::json;

// The columns of versions that knew one kind, whose rows name none. The last of these versions put two
// more behind the seconds.
const std::vector<std::string> unnamed_columns{"velocity_loss", "gather_loss", "held_out_ssim",
                                               "held_out_mae_m_per_s"};
const std::vector<std::string> more_unnamed_columns{"held_out_velocity_loss",
                                                    "held_out_gather_loss"};
constexpr std::size_t unnamed_cells = 8;

// With the seconds last, as rows are whose columns are named.
Json in_order(Json row) {
  if (row.size() != unnamed_cells + more_unnamed_columns.size()) return row;
  std::rotate(row.begin() + unnamed_cells - 1, row.begin() + unnamed_cells, row.end());
  return row;
}

// Columns of rows without names.
std::vector<std::string> columns_of_unnamed(const Json& rows) {
  std::vector<std::string> columns = unnamed_columns;
  if (!rows.empty() && rows.front().size() == unnamed_cells + more_unnamed_columns.size()) {
    columns.insert(columns.end(), more_unnamed_columns.begin(), more_unnamed_columns.end());
  }
  return columns;
}

Json value_to_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// epoch, stage, learning rate, the columns' values, seconds.
Json row_to_json(const EpochRecord& row) {
  Json cells{row.epoch, row.stage, row.learning_rate};
  for (const auto& value : row.values) cells.push_back(value_to_json(value));
  cells.push_back(row.seconds);
  return cells;
}

Result<EpochRecord> row_from_json(const Json& cells, std::size_t columns) {
  constexpr std::size_t before = 3;
  if (cells.size() != before + columns + 1) throw std::length_error("a row of another length");
  OUTCROP_TRY(epoch, json_integer(cells.at(0), "an epoch of its history", 1));
  OUTCROP_TRY(stage, json_integer(cells.at(1), "a stage of its history", 1));
  EpochRecord row{.epoch = epoch,
                  .stage = stage,
                  .learning_rate = cells.at(2).get<double>(),
                  .values = {},
                  .seconds = cells.back().get<double>()};
  for (std::size_t i = 0; i < columns; ++i) {
    const Json& cell = cells.at(before + i);
    row.values.push_back(cell.is_null() ? std::nullopt : std::optional(cell.get<double>()));
  }
  return row;
}

}  // namespace

std::optional<double> History::last(std::string_view column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (rows.empty() || found == columns.end()) return std::nullopt;
  return rows.back().values[static_cast<std::size_t>(found - columns.begin())];
}

History with_columns(const History& history, const std::vector<std::string>& columns) {
  History result{columns, {}};
  for (const EpochRecord& old : history.rows) {
    EpochRecord row = old;
    row.values.clear();
    for (const std::string& column : columns) {
      const auto found = std::find(history.columns.begin(), history.columns.end(), column);
      row.values.push_back(found == history.columns.end()
                               ? std::nullopt
                               : old.values[static_cast<std::size_t>(found - history.columns.begin())]);
    }
    result.rows.push_back(std::move(row));
  }
  return result;
}

std::string to_csv(const History& history) {
  std::ostringstream csv;
  csv.precision(9);
  csv << "epoch,stage,learning_rate,";
  for (const std::string& column : history.columns) csv << column << ',';
  csv << "seconds\n";
  for (const EpochRecord& row : history.rows) {
    csv << row.epoch << ',' << row.stage << ',' << row.learning_rate << ',';
    for (const auto& value : row.values) {
      if (value && std::isfinite(*value)) csv << *value;
      csv << ',';
    }
    csv << row.seconds << '\n';
  }
  return csv.str();
}

std::string history_to_json(const History& history) {
  Json rows = Json::array();
  for (const EpochRecord& row : history.rows) rows.push_back(row_to_json(row));
  return json_text(Json{{"columns", history.columns}, {"rows", std::move(rows)}});
}

Result<History> history_from_json(const std::string& text) {
  if (nested_too_deeply(text, 8)) {
    return fail(ErrorCode::invalid_data, "its history is damaged: it is nested too deeply");
  }
  try {
    const Json json = Json::parse(text);
    const bool named = json.is_object();
    History history;
    history.columns =
        named ? json.at("columns").get<std::vector<std::string>>() : columns_of_unnamed(json);
    for (const Json& row : named ? json.at("rows") : json) {
      OUTCROP_TRY(read, row_from_json(named ? row : in_order(row), history.columns.size()));
      history.rows.push_back(std::move(read));
    }
    return history;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, std::string("its history is damaged: ") + error.what());
  }
}

}  // namespace outcrop::train
