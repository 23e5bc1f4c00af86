#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <utility>

#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"

namespace outcrop::quantize {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// "map_mae_m_per_s": a column's name with the unit of its output.
std::string with_unit(std::string column, const std::string& unit) {
  if (unit.empty()) return column;
  column += '_';
  for (const char c : unit) {
    if (c == '/') {
      column += "_per_";
    } else {
      column += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    }
  }
  return column;
}

using Cells = std::vector<std::pair<std::string, std::string>>;  // column, value

Cells cells_of(const PerformanceRow& row) {
  const VariantFile& variant = row.variant;
  const auto measured = [&](const std::string& cell) {
    return row.unmeasured.empty() ? cell : std::string();
  };
  const auto time = [&](runtime::Milliseconds value) { return measured(write_number(value.count(), 6)); };
  Cells cells{{"model", row.model},
              {"stage", std::to_string(row.stage)},
              {"variant", variant.name},
              {"size_bytes", std::to_string(variant.size.value())},
              {"load_ms", time(row.load)},
              {"first_ms", time(row.first)},
              {"inferences", std::to_string(row.steady.calls)},
              {"mean_ms", time(row.steady.mean)},
              {"min_ms", time(row.steady.minimum)},
              {"max_ms", time(row.steady.maximum)},
              {"std_ms", time(row.steady.standard_deviation)},
              {"p50_ms", time(row.steady.p50)},
              {"p90_ms", time(row.steady.p90)},
              {"peak_memory_bytes", measured(std::to_string(row.peak_memory.value()))},
              {"engine_memory_bytes", measured(std::to_string(row.engine_memory.value()))}};
  for (const auto& [name, output] : variant.outputs) {
    if (!row.likeness_name.empty()) {
      cells.emplace_back(name + "_" + lower(row.likeness_name), write_number(output.likeness, 6));
    }
    cells.emplace_back(with_unit(name + "_mae", row.unit(name)),
                       write_number(output.average_abs_error, 6));
  }
  cells.emplace_back("int8_modules", write_number(variant.coverage.modules, 6));
  cells.emplace_back("int8_parameters", write_number(variant.coverage.parameters, 6));
  cells.emplace_back("int8_multiply_adds", write_number(variant.coverage.multiply_adds, 6));
  cells.emplace_back("valid", row.valid && row.unmeasured.empty() ? "yes" : "no");
  return cells;
}

bool begins_with_key(std::string_view text) {
  constexpr std::string_view key = "model,stage,variant";
  const std::string_view rest = text.substr(std::min(key.size(), text.size()));
  return text.starts_with(key) && (rest.empty() || rest.front() == ',' || rest.front() == '\n');
}

// Rows by model, stage and variant. Columns go by name: what an older version or another kind of
// model wrote stays, and a row without a column has an empty cell there.
class Lines {
 public:
  Status read(const std::string& text, const std::filesystem::path& path) {
    // Whatever its rows look like, another file is called what it is.
    if (!begins_with_key(text)) {
      return fail(ErrorCode::invalid_data,
                  path.string() + ", line 1: not the heading of quantization_performance.csv; move "
                                    "it away, and a new table begins");
    }
    const auto table = platform::parse_csv(text);
    if (!table) return fail(table.error().context(path.string()));
    columns_ = table->headings;
    for (std::size_t at = 0; at < table->rows.size(); ++at) {
      const auto& cells = table->rows[at];
      const auto stage = read_number<int>(cells[1]);
      if (!stage || cells[2].empty()) {
        return fail(ErrorCode::invalid_data, path.string() + ", line " + std::to_string(at + 2) +
                                                 ": not a row of model, stage and variant");
      }
      Cells row;
      for (std::size_t i = 0; i < cells.size(); ++i) row.emplace_back(columns_[i], cells[i]);
      put(cells[0], *stage, cells[2], std::move(row));
    }
    return {};
  }

  void put(const std::string& model, int stage, const std::string& variant, Cells cells) {
    // A new column stands behind the one that it follows in its row.
    std::size_t behind = 0;
    for (const auto& [column, value] : cells) {
      const auto known = std::find(columns_.begin(), columns_.end(), column);
      if (known == columns_.end()) {
        columns_.insert(columns_.begin() + static_cast<std::ptrdiff_t>(behind), column);
        ++behind;
      } else {
        behind = static_cast<std::size_t>(known - columns_.begin()) + 1;
      }
    }
    auto& rows = lines_[{model, stage}];
    for (auto& [name, old] : rows) {
      if (name != variant) continue;
      old = std::move(cells);
      return;
    }
    rows.emplace_back(variant, std::move(cells));
  }

  [[nodiscard]] std::string to_string() const {
    std::string text = join(columns_, ",") + "\n";
    for (const auto& [stage, rows] : lines_) {
      for (const auto& [variant, cells] : rows) text += line_of(cells) + "\n";
    }
    return text;
  }

 private:
  [[nodiscard]] std::string line_of(const Cells& cells) const {
    std::vector<std::string> values;
    for (const std::string& column : columns_) {
      const auto cell = std::find_if(cells.begin(), cells.end(),
                                     [&](const auto& one) { return one.first == column; });
      values.push_back(cell == cells.end() ? "" : cell->second);
    }
    return join(values, ",");
  }

  std::vector<std::string> columns_;
  std::map<std::pair<std::string, int>, std::vector<std::pair<std::string, Cells>>> lines_;
};

// The table that stands there, or an empty one where there is none.
Result<Lines> read_lines(const std::filesystem::path& path) {
  Lines lines;
  if (std::filesystem::exists(path)) {
    OUTCROP_TRY(text, read_text_file(path));
    OUTCROP_CHECK(lines.read(text, path));
  }
  return lines;
}

}  // namespace

Status update_performance_csv(const std::filesystem::path& path,
                              const std::vector<PerformanceRow>& rows) {
  OUTCROP_TRY(lines, read_lines(path));
  for (const PerformanceRow& row : rows) {
    lines.put(row.model, row.stage, row.variant.name, cells_of(row));
  }
  return write_file_durably(path, lines.to_string());
}

Status check_performance_csv(const std::filesystem::path& path) {
  const auto lines = read_lines(path);
  if (!lines) return fail(lines.error());
  return {};
}

}  // namespace outcrop::quantize
