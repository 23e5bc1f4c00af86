#include "trainer_host/trainer/analyze/read_results.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

using ReadJson = nlohmann::json;

constexpr const char* analysis_file = "metrics.json";
constexpr const char* export_file = "quantization.json";
constexpr const char* times_file = "quantization_performance.csv";
constexpr ByteCount largest_result = ByteCount::mib(64);

Result<ReadJson> read_json(const fs::path& file) {
  OUTCROP_TRY(text, read_text_file(file, largest_result));
  return messages::parse_object(text, largest_result, file.string());
}

tl::unexpected<Error> lacks(const fs::path& file, const std::string& key) {
  return fail(ErrorCode::invalid_data, file.string() + ": no " + key + ", which outcrop writes there");
}

std::optional<double> number_in(const ReadJson& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::uint64_t bytes_in(const ReadJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string text_in(const ReadJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<Interval> interval_in(const ReadJson& task, const char* key) {
  const auto found = task.find(key);
  if (found == task.end() || !found->is_object()) return std::nullopt;
  const auto value = number_in(*found, "value");
  const auto low = number_in(*found, "low");
  const auto high = number_in(*found, "high");
  if (!value || !low || !high) return std::nullopt;
  return Interval{*value, *low, *high};
}

std::optional<McNemar> mcnemar_in(const ReadJson& json) {
  const auto found = json.find("mcnemar");
  if (found == json.end() || !found->is_object()) return std::nullopt;
  const auto p = number_in(*found, "p");
  if (!p) return std::nullopt;
  return McNemar{bytes_in(*found, "only_before"), bytes_in(*found, "only_after"), *p};
}

void take_answers(const ReadJson& json, const std::string& role, Contender& one) {
  if (role == "original") one.error = 0.0;
  const auto outputs = json.find("outputs");
  if (role == "quantized" && outputs != json.end() && outputs->is_array() && !outputs->empty()) {
    one.error = number_in(outputs->front(), "mean_abs_error");
    one.sqnr_db = number_in(outputs->front(), "sqnr_db");
  }
  const auto task = json.find("task");
  if (role == "fast float" || task == json.end() || !task->is_object()) return;
  one.metric = text_in(*task, "metric");
  one.score = interval_in(*task, role == "original" ? "before" : "after");
  if (role != "quantized") return;
  one.mcnemar = mcnemar_in(*task);
  one.logits_db = number_in(*task, "logits_sqnr_db");
}

// Of a step of an experiment, whose forms have answers each.
void take_own_answers(const ReadJson& form, Contender& one) {
  if (const auto error = number_in(form, "mean_abs_error")) one.error = error;
  if (const auto db = number_in(form, "sqnr_db")) one.sqnr_db = db;
  if (const auto share = number_in(form, "multiply_adds_in_codes")) one.in_codes = share;
  if (const auto db = number_in(form, "logits_sqnr_db")) one.logits_db = db;
  if (const auto test = mcnemar_in(form)) one.mcnemar = test;
  const auto score = interval_in(form, "score");
  if (!score) return;
  one.metric = text_in(form, "metric");
  one.score = score;
}

Result<std::vector<Contender>> read_analysis(const fs::path& file) {
  OUTCROP_TRY(json, read_json(file));
  const auto forms = json.find("forms");
  if (forms == json.end() || !forms->is_array()) return lacks(file, "forms");
  std::vector<Contender> contenders;
  for (const ReadJson& form : *forms) {
    Contender one;
    one.name = text_in(form, "name");
    if (one.name.empty()) return lacks(file, "forms[].name");
    const std::string role = text_in(form, "role");
    one.is_float = role != "quantized";
    one.disk = bytes_in(form, "disk_bytes");
    one.transfer = bytes_in(form, "transfer_bytes");
    one.memory = bytes_in(form, "peak_memory_bytes");
    one.p50_ms = number_in(form, "p50_ms");
    one.p90_ms = number_in(form, "p90_ms");
    take_answers(json, role, one);
    take_own_answers(form, one);
    contenders.push_back(std::move(one));
  }
  return contenders;
}

// By "model,stage,variant" the cells of a row, by their headings.
using Times = std::map<std::string, std::map<std::string, std::string>>;

Result<Times> read_times(const fs::path& folder) {
  Times times;
  for (const fs::path& place : {folder, folder.parent_path()}) {
    const fs::path file = place / times_file;
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    OUTCROP_TRY(text, read_text_file(file));
    const auto table = platform::parse_csv(text);
    if (!table) return fail(table.error().context(file.string()));
    for (const auto& row : table->rows) {
      if (row.size() < 3) continue;
      auto& cells = times[row[0] + "," + row[1] + "," + row[2]];
      for (std::size_t i = 0; i < row.size(); ++i) cells[table->headings[i]] = row[i];
    }
    break;
  }
  return times;
}

void take_times(const Times& times, const std::string& file, const std::string& variant, Contender& one) {
  const std::string ending = "_" + variant + ".ptl";
  if (!file.ends_with(ending)) return;
  // Of a stage, or of TorchScript, whose rows are of stage 1.
  const std::string stem = file.substr(0, file.size() - ending.size());
  static const std::regex of_stage("(.+)_stage([0-9]{1,9})");
  std::smatch parts;
  const bool staged = std::regex_match(stem, parts, of_stage);
  const auto row = times.find((staged ? parts[1].str() + "," + parts[2].str() : stem + ",1") + "," + variant);
  if (row == times.end()) return;
  const auto cell = [&](const char* heading) -> std::optional<double> {
    const auto found = row->second.find(heading);
    return found == row->second.end() ? std::nullopt : read_number<double>(found->second);
  };
  one.p50_ms = cell("p50_ms");
  one.p90_ms = cell("p90_ms");
  if (const auto peak = cell("peak_memory_bytes"); peak && *peak > 0) one.memory = static_cast<std::uint64_t>(*peak);
}

Result<std::vector<Contender>> read_export(const fs::path& file) {
  OUTCROP_TRY(json, read_json(file));
  OUTCROP_TRY(times, read_times(file.parent_path()));
  const auto variants = json.find("variants");
  if (variants == json.end() || !variants->is_array()) return lacks(file, "variants");
  std::vector<Contender> contenders;
  for (const ReadJson& variant : *variants) {
    Contender one;
    one.name = text_in(variant, "name");
    if (one.name.empty()) return lacks(file, "variants[].name");
    one.is_float = one.name == "float" || one.name.starts_with("float-");
    one.disk = bytes_in(variant, "size");
    for (const auto& [key, value] : variant.items()) {
      if (one.error || !value.is_object()) continue;
      one.error = number_in(value, "average_abs_error");
      if (!one.is_float) one.sqnr_db = number_in(value, "sqnr_db");
    }
    if (const auto share = variant.find("int8_share"); share != variant.end() && share->is_object()) {
      one.in_codes = number_in(*share, "multiply_adds");
    }
    take_times(times, text_in(variant, "file"), one.name, one);
    contenders.push_back(std::move(one));
  }
  return contenders;
}

// run/stage1, run/stage2, …, run/stage10.
std::vector<fs::path> stages_in(const fs::path& run) {
  std::map<int, fs::path> stages;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("stage") || !fs::exists(entry.path() / export_file, error)) continue;
    if (const auto number = read_number<int>(name.substr(5))) stages[*number] = entry.path();
  }
  std::vector<fs::path> folders;
  for (const auto& [number, folder] : stages) folders.push_back(folder);
  return folders;
}

Result<std::vector<Contender>> read_folder(const fs::path& folder) {
  std::error_code error;
  std::vector<Contender> contenders;
  if (fs::exists(folder / analysis_file, error)) {
    OUTCROP_TRY(read, read_analysis(folder / analysis_file));
    contenders = std::move(read);
  } else if (fs::exists(folder / export_file, error)) {
    OUTCROP_TRY(read, read_export(folder / export_file));
    contenders = std::move(read);
  } else {
    for (const fs::path& stage : stages_in(folder)) {
      OUTCROP_TRY(read, read_folder(stage));
      contenders.insert(contenders.end(), read.begin(), read.end());
    }
    if (!contenders.empty()) return contenders;
    return fail(ErrorCode::not_found, folder.string() + " holds no result: neither " + analysis_file +
                                          " (of outcrop analyze) nor " + export_file +
                                          " (of outcrop quantize or a stage) nor stages of a run");
  }
  for (Contender& one : contenders) one.from = folder.lexically_normal().string();
  return contenders;
}

bool same_float(const Contender& a, const Contender& b) {
  return a.is_float && b.is_float && a.name == b.name && a.disk == b.disk;
}

std::string last_of(const std::string& folder) {
  const fs::path path(folder);
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

Result<std::vector<Contender>> read_results(const std::vector<fs::path>& folders) {
  std::vector<Contender> contenders;
  for (const fs::path& folder : folders) {
    OUTCROP_TRY(read, read_folder(folder));
    for (Contender& one : read) {
      const auto known = std::find_if(contenders.begin(), contenders.end(),
                                      [&](const Contender& other) { return same_float(one, other); });
      if (known == contenders.end()) {
        contenders.push_back(std::move(one));
      } else if (known->transfer == 0) {
        known->transfer = one.transfer;
      }
    }
  }
  std::map<std::string, int> names;
  for (const Contender& one : contenders) ++names[one.name];
  for (Contender& one : contenders) {
    if (names[one.name] > 1) one.name += " (" + last_of(one.from) + ")";
  }
  return contenders;
}

}  // namespace outcrop::analyze
