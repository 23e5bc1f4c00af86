#include "trainer_host/trainer/exchange/export_verb.hpp"

#include <cstdio>
#include <memory>

#include "trainer_host/trainer/exchange/exported_file.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/quantize/quantized_model.hpp"

namespace outcrop::exchange {
namespace fs = std::filesystem;
namespace {

constexpr const char* kind_of_modules = "module";

struct Arguments {
  fs::path model;
  fs::path out;
  std::string format;
  std::string name;
  ExportWishes wishes;
  bool allow_reduced = false;
  bool json = false;
};

Format format_of(const std::string& name) {
  if (name == "onnx") return Format::onnx;
  if (name == "keras") return Format::keras;
  return name == "tflite" ? Format::tflite : Format::safetensors;
}

// What is said and would be passed over.
Status check_words(const Arguments& arguments) {
  const WantedCall& call = arguments.wishes.call;
  const Format format = arguments.wishes.format;
  const bool of_a_call = !call.part.empty() || call.method != "forward" || !call.shapes.empty() || !call.outputs.empty();
  if (format == Format::safetensors && of_a_call) {
    return fail(ErrorCode::invalid_argument, "--part, --method, --shape and --output are of calls; safetensors hold weights alone");
  }
  const bool of_tflite = arguments.wishes.tflite.weights_in_int8 || arguments.wishes.tflite.channels_last;
  if (format != Format::tflite && of_tflite) {
    return fail(ErrorCode::invalid_argument, "--dynamic-range and --channels-last are for --format tflite");
  }
  return {};
}

Result<ExportedFile> exported_by(const Arguments& arguments, const kinds::Register& kinds) {
  const std::string stem = arguments.name.empty() ? arguments.model.stem().string() : arguments.name;
  OUTCROP_TRY(script, quantize::is_torch_script(arguments.model));
  if (!script) {
    if (arguments.wishes.format == Format::safetensors) return export_weights(arguments.model, arguments.out, stem);
    return fail(ErrorCode::unsupported, arguments.model.string() + " holds weights, and a " + std::string(to_string(arguments.wishes.format)) +
                                            " file is of a model: name a variant (.ptl) of its stage, or of outcrop quantize");
  }
  OUTCROP_TRY(kind, kinds.find(kind_of_modules));
  OUTCROP_CHECK(kinds::enclose(*kind, {arguments.model, golden_input_beside(arguments.model)}, {arguments.out},
                               arguments.allow_reduced));
  OUTCROP_TRY(module, load_torch_script(arguments.model));
  return export_module(module, arguments.model, arguments.wishes, arguments.out, stem);
}

Status run(Arguments arguments, const kinds::Register& kinds) {
  arguments.wishes.format = format_of(arguments.format);
  OUTCROP_CHECK(check_words(arguments));
  OUTCROP_TRY(exported, exported_by(arguments, kinds));
  std::fputs((arguments.json ? exported.json + "\n" : exported.text).c_str(), stdout);
  return {};
}

}  // namespace

void add_export(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "export",
      "Write a model for other runtimes: .tflite (LiteRT, phones and microcontrollers), .onnx (ONNX Runtime and many others), .keras "
      "(to train further in Keras), or its weights as .safetensors (Python). A file of int8 gives int8, with the very same scales and codes.");
  verb->add_option("MODEL", arguments->model,
                   "TorchScript: a variant that outcrop made (…_float.ptl, …_int8-qint8.ptl) or a file of yours; for safetensors also "
                   "weights of a stage, or a checkpoint")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("OUT", arguments->out, "Folder for the file, and export.json that says what it takes and gives")->required();
  verb->add_option("--format", arguments->format, "tflite, onnx, keras or safetensors")
      ->required()
      ->check(CLI::IsMember({"tflite", "onnx", "keras", "safetensors"}));
  verb->add_option("--name", arguments->name, "Of the file, without its ending (default: MODEL's)");
  verb->add_option("--shape", arguments->wishes.call.shapes,
                   "Sizes of an argument, for each in their order or by NAME=, repeatable: 1,3,32,32 or ids=1,128:int64 (default: one row "
                   "of golden_input.safetensors beside MODEL). The file takes these sizes")
      ->allow_extra_args(false)
      ->type_name("[NAME=]SIZES");
  verb->add_option("--method", arguments->wishes.call.method, "What of the model is called: of a generator decode")
      ->capture_default_str();
  verb->add_option("--part", arguments->wishes.call.part, "A module in it alone: network");
  verb->add_option("--output", arguments->wishes.call.outputs,
                   "Leave out other answers, and all that only they need; repeatable: output_1, output_2, … of a tuple")
      ->allow_extra_args(false);
  verb->add_flag("--dynamic-range", arguments->wishes.tflite.weights_in_int8,
                 "tflite: weights of a float model in int8, activations rounded in each call");
  verb->add_flag("--channels-last", arguments->wishes.tflite.channels_last,
                 "tflite: take and give images as [N, H, W, C], not as the model's own [N, C, H, W]");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced, "Go on where this machine cannot confine the process");
  verb->add_flag("--json", arguments->json, "Print what was written as one line of JSON");
  verb->footer(
      "What a format cannot express is refused by its operator, and nothing is written.\n\n"
      "Examples:\n"
      "  outcrop export run/stage2/digits_stage2_int8-qint8.ptl exported --format tflite\n"
      "  outcrop export net.pt exported --format onnx --shape 1,3,32,32\n"
      "  outcrop export run/stage2/maps_stage2_float.ptl exported --format tflite --method decode --output output_1\n"
      "  outcrop export run/stage2/digits_stage2_float.ptl exported --format keras\n"
      "  outcrop export run/stage2/digits_stage2.weights exported --format safetensors");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return run(*arguments, kinds); };
  });
}

}  // namespace outcrop::exchange
