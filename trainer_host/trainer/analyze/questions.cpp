#include "trainer_host/trainer/analyze/questions.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/kinds/module/rows.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

using torch::Tensor;

constexpr std::size_t rows_at_once = 16;  // all that layers give is held for so many

// As files name arguments: a trace calls one "input.1".
std::string file_name_of(std::string argument) {
  for (char& c : argument) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return argument;
}

// "latent" and 3 of "latent_3".
struct GoldenName {
  std::string argument;
  int call = 0;
};

GoldenName golden_name(const std::string& name) {
  const auto line = name.rfind('_');
  if (line == std::string::npos) return {name, 0};
  return {name.substr(0, line), read_number<int>(name.substr(line + 1)).value_or(0)};
}

using GoldenCalls = std::map<int, std::vector<std::pair<std::string, Tensor>>>;  // in the order of arguments

// All calls that give each of the method's tensors; by name, or (`by_place`) by how many there are: passes of
// LibTorch rename arguments.
std::vector<std::vector<Tensor>> calls_of(const AnalyzedModel::Method& method, const GoldenCalls& calls, bool by_place) {
  std::vector<std::vector<Tensor>> batches;
  for (const auto& [number, tensors] : calls) {
    if (tensors.size() != method.tensors.size()) continue;
    std::vector<Tensor> batch;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (by_place || tensors[i].first == file_name_of(method.tensors[i])) batch.push_back(tensors[i].second);
    }
    if (batch.size() == tensors.size()) batches.push_back(std::move(batch));
  }
  return batches;
}

}  // namespace

Result<AnalyzedModel::Method> chosen_method(const AnalyzedModel& model, const std::string& wanted) {
  std::vector<std::string> texts;
  for (const auto& method : model.methods()) {
    if (wanted.empty() || method.name == wanted) return method;
    texts.push_back(method.text);
  }
  return fail(ErrorCode::invalid_argument,
              model.name() + " has no method " + (wanted.empty() ? "that takes tensors alone" : "'" + wanted + "'") +
                  (texts.empty() ? "" : "; there are: " + join(texts)));
}

std::size_t Questions::rows() const {
  std::size_t rows = 0;
  for (const auto& batch : batches) rows += static_cast<std::size_t>(batch.front().size(0));
  return rows;
}

Result<Questions> read_data(const AnalyzedModel& model, const fs::path& folder, const std::string& wanted) {
  OUTCROP_TRY(method, chosen_method(model, wanted));
  std::vector<std::string> names;
  for (const std::string& argument : method.tensors) names.push_back(file_name_of(argument));
  kinds::DataPlaces places;
  places.validation = {folder};
  places.only_scored = true;
  OUTCROP_TRY(split, user_module::open_rows(places, names));
  const user_module::Rows& rows = split.held_out;
  Questions questions{method, folder.string(), {}, {}};
  for (std::size_t first = 0; first < rows.size(); first += rows_at_once) {
    auto some = rows.slice(first, rows_at_once);
    questions.batches.push_back(std::move(some.inputs));
    if (some.has_target()) questions.targets.push_back(std::move(some.target));
  }
  return questions;
}

Result<Questions> read_goldens(const AnalyzedModel& model, const std::vector<fs::path>& folders,
                               const std::string& wanted) {
  std::vector<std::string> places;
  for (const fs::path& folder : folders) {
    const fs::path file = folder / golden_inputs_file;
    std::error_code error;
    places.push_back(file.string());
    if (!fs::exists(file, error)) continue;
    auto tensors = runtime::read_tensor_file(file);
    if (!tensors) return fail(tensors.error().context(file.string()));
    GoldenCalls calls;
    bool any_rows = tensors->empty();
    for (const runtime::Tensor& tensor : *tensors) {
      if (tensor.shape.empty() || tensor.shape[0] < 1) continue;
      any_rows = true;
      const GoldenName name = golden_name(tensor.name);
      calls[name.call].emplace_back(name.argument, models::torch_tensor(tensor));
    }
    if (!any_rows) {
      return fail(ErrorCode::invalid_data, file.string() + " holds tensors without a single row; give rows with --data");
    }
    for (const bool by_place : {false, true}) {
      for (const auto& method : model.methods()) {
        if (!wanted.empty() && method.name != wanted) continue;
        auto batches = calls_of(method, calls, by_place);
        if (!batches.empty()) return Questions{method, "golden inputs", std::move(batches), {}};
      }
    }
    return fail(ErrorCode::invalid_data,
                file.string() + " holds no call of " + (wanted.empty() ? "a method" : wanted) + " of " +
                    model.name() + "; give rows with --data");
  }
  return fail(ErrorCode::not_found, "no rows to ask: there is no " + join(places) +
                                        "; give some with --data (docs/modules.md says what they are)");
}

}  // namespace outcrop::analyze
