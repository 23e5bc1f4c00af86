#include "trainer_host/trainer/exchange/exported_file.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/regular_file.hpp"
#include "trainer_host/trainer/exchange/keras/keras_file.hpp"
#include "trainer_host/trainer/exchange/onnx/onnx_file.hpp"
#include "trainer_host/trainer/exchange/state_tensors.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::exchange {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* list_of_files = "export.json";

// As the file has it.
Shape shape_in_file(const Value& value, bool channels_last) {
  const Shape& own = value.shape;
  return channels_last && own.size() == 4 ? Shape{own[0], own[2], own[3], own[1]} : own;
}

Json values_to_json(const Graph& graph, const std::vector<ValueId>& ids, bool channels_last) {
  Json values = Json::array();
  for (const ValueId id : ids) {
    const Value& value = graph.values[id];
    values.push_back({{"name", value.name}, {"type", std::string(to_string(value.type))},
                      {"shape", shape_in_file(value, channels_last)}});
  }
  return values;
}

std::string line_of(const char* what, const Graph& graph, const std::vector<ValueId>& ids, bool channels_last) {
  std::string text;
  for (const ValueId id : ids) {
    const Value& value = graph.values[id];
    text += std::string("  ") + what + " " + value.name + ": " + std::string(to_string(value.type)) + " " +
            describe(shape_in_file(value, channels_last)) + "\n";
  }
  return text;
}

bool computes_in_codes(const Graph& graph, const Operation& operation) {
  return graph.output_of(operation).codes && graph.input_of(operation, 0).codes;
}

ExportedFile described(const Graph& graph, bool channels_last) {
  std::map<std::string, int> operators;
  for (const Operation& operation : graph.operations) {
    ++operators[name_of(operation.op) + (computes_in_codes(graph, operation) ? " in int8" : "")];
  }
  ExportedFile exported;
  const Json json{{"inputs", values_to_json(graph, graph.inputs, channels_last)},
                  {"outputs", values_to_json(graph, graph.outputs, channels_last)},
                  {"operators", operators}};
  exported.json = json_text(json);
  exported.text = line_of("takes", graph, graph.inputs, channels_last) +
                  line_of("gives", graph, graph.outputs, channels_last);
  for (const auto& [name, count] : operators) exported.text += "  " + std::to_string(count) + " × " + name + "\n";
  return exported;
}

// Other files in the folder keep their entries.
Status list_file(const fs::path& folder, const ExportedFile& exported, const fs::path& source) {
  const fs::path path = folder / list_of_files;
  Json files = Json::object();
  std::error_code error;
  if (fs::exists(path, error)) {
    constexpr auto largest = ByteCount::mib(4);
    OUTCROP_TRY(text, read_text_file(path, largest));
    files = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!files.is_object()) return fail(ErrorCode::invalid_data, path.string() + " is no list of exported files: name another folder");
  }
  Json entry{{"of", source.filename().string()}};
  entry.update(Json::parse(exported.json));
  files[exported.file.filename().string()] = std::move(entry);
  return write_file_durably(path, json_text(files, 2) + "\n");
}

Result<ExportedFile> write(ExportedFile exported, const Bytes& bytes, Format format, const fs::path& source,
                           const fs::path& folder, const std::string& stem) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  exported.file = folder / (stem + "." + std::string(to_string(format)));
  OUTCROP_CHECK(write_file_durably(exported.file, BytesView(bytes)));
  OUTCROP_CHECK(list_file(folder, exported, source));
  exported.text = exported.file.string() + ", " + ByteCount(bytes.size()).human() + "\n" + exported.text;
  return exported;
}

Result<ExportedFile> write_state(const models::NamedTensors& state, const fs::path& source, const fs::path& folder,
                                 const std::string& stem) {
  OUTCROP_TRY(bytes, to_safetensors(state));
  ExportedFile exported;
  exported.json = json_text(Json{{"tensors", state.size()}});
  exported.text = "  " + std::to_string(state.size()) + " tensors\n";
  return write(std::move(exported), bytes, Format::safetensors, source, folder, stem);
}

Result<Bytes> in_format(const Graph& graph, const ExportWishes& wishes) {
  if (wishes.format == Format::onnx) return to_onnx(graph);
  return wishes.format == Format::keras ? to_keras(graph) : to_tflite(graph, wishes.tflite);
}

}  // namespace

std::string_view to_string(Format format) {
  switch (format) {
    case Format::tflite: return "tflite";
    case Format::onnx: return "onnx";
    case Format::keras: return "keras";
    case Format::safetensors: return "safetensors";
  }
  return "";
}

Result<torch::jit::Module> load_torch_script(const fs::path& file) {
  OUTCROP_TRY(checked, open_regular_file(file));
  try {
    models::prepare_engine();
    torch::jit::Module module = torch::jit::load(file.string());
    for (const auto& one : module.named_modules()) {
      if (!one.value.hasattr("training") || !one.value.attr("training").toBool()) continue;
      return fail(ErrorCode::unsupported, file.string() + (one.name.empty() ? "" : ": '" + one.name + "'") +
                                              " is in training mode: torch.jit.script(model.eval()).save(…)");
    }
    return module;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, file.string() + " is no TorchScript, or damaged: " + models::first_line_of(error));
  }
}

Result<ExportedFile> export_module(const torch::jit::Module& module, const fs::path& source, const ExportWishes& wishes,
                                   const fs::path& folder, const std::string& stem) {
  if (wishes.format == Format::safetensors) {
    OUTCROP_TRY(state, state_in_module(module));
    return write_state(state, source, folder, stem);
  }
  OUTCROP_TRY(example, example_call(module, source, wishes.call));
  OUTCROP_TRY(graph, graph_of(example.module, example.call));
  graph.name = stem;
  OUTCROP_TRY(bytes, in_format(graph, wishes));
  const bool channels_last = wishes.tflite.channels_last || wishes.format == Format::keras;
  return write(described(graph, channels_last), bytes, wishes.format, source, folder, stem);
}

Result<ExportedFile> export_weights(const fs::path& source, const fs::path& folder, const std::string& stem) {
  OUTCROP_TRY(state, state_in_file(source));
  return write_state(state, source, folder, stem);
}

}  // namespace outcrop::exchange
