#include "trainer_host/trainer/models/model_file.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/trust/digest.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::models {
namespace {

using Json = nlohmann::json;

constexpr ByteCount largest_file = ByteCount::mib(4096);
// Bytes. A checkpoint keeps its history there, 150 bytes an epoch: room for a million of them.
constexpr std::size_t longest_header = 256 << 20;
constexpr std::int64_t largest_extent = 4096;  // of a network: latent values, channels

std::string first_line(ModelFileKind kind) {
  return "outcrop " + std::string(to_string(kind)) + " 1\n";
}

Result<Bytes> encode_tensors(const NamedTensors& tensors) {
  std::vector<runtime::Tensor> plain;
  plain.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const auto values = tensor.detach().contiguous();
    const auto count = static_cast<std::size_t>(values.numel());
    if (values.scalar_type() == torch::kLong) {
      plain.push_back(runtime::Tensor::of_integers(name, values.sizes().vec(),
                                                   {values.data_ptr<std::int64_t>(), count}));
    } else if (values.scalar_type() == torch::kFloat) {
      plain.push_back(runtime::Tensor::of_floats(name, values.sizes().vec(),
                                                 {values.data_ptr<float>(), count}));
    } else {
      return fail(ErrorCode::internal, "tensor " + name + " is neither float nor int64");
    }
  }
  return runtime::encode_tensor_file(plain);
}

Result<NamedTensors> decode_tensors(BytesView payload) {
  OUTCROP_TRY(plain, runtime::decode_tensor_file(payload));
  NamedTensors tensors;
  tensors.reserve(plain.size());
  for (const runtime::Tensor& tensor : plain) {
    auto values = torch::empty(
        tensor.shape, tensor.dtype == runtime::DType::int64 ? torch::kLong : torch::kFloat);
    std::memcpy(values.data_ptr(), tensor.data.data(), tensor.data.size());
    tensors.emplace_back(tensor.name, std::move(values));
  }
  return tensors;
}

// Of header and tensors together: a changed epoch or history is damage as much as a changed weight.
std::string digest_of(Json about, BytesView payload) {
  about.erase("sha256");
  trust::Sha256Hasher hasher;
  hasher.update(as_bytes(json_text(about)));
  hasher.update(payload);
  return hasher.finish().hex();
}

// Splits off what stands before the next line end.
Result<std::string_view> take_line(std::string_view& text, std::size_t limit) {
  const std::size_t end = text.substr(0, limit).find('\n');
  if (end == std::string_view::npos) {
    return fail(ErrorCode::invalid_data, "it is cut short in its header");
  }
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

Result<ModelFileKind> kind_of(std::string_view& text) {
  for (const auto kind : {ModelFileKind::weights, ModelFileKind::checkpoint}) {
    const std::string line = first_line(kind);
    if (text.starts_with(line)) {
      text.remove_prefix(line.size());
      return kind;
    }
  }
  if (text.empty()) return fail(ErrorCode::invalid_data, "it is empty");
  return fail(ErrorCode::invalid_data,
              "it holds neither weights nor a checkpoint of this version: its first line must be "
              "'outcrop weights 1' or 'outcrop checkpoint 1'");
}

Result<ModelFile> decode_model_file(std::string_view text) {
  ModelFile file;
  OUTCROP_TRY(kind, kind_of(text));
  file.kind = kind;
  OUTCROP_TRY(header, take_line(text, longest_header));
  file.about = header;
  const Json about = Json::parse(header, nullptr, /*allow_exceptions=*/false);
  if (!about.is_object() || !about.contains("payload_bytes") ||
      !about["payload_bytes"].is_number_unsigned() || !about.contains("sha256") ||
      !about["sha256"].is_string()) {
    return fail(ErrorCode::invalid_data, "its header is damaged");
  }
  const ByteCount expected(about["payload_bytes"].get<std::uint64_t>());
  const ByteCount present(text.size());
  if (present < expected) {
    return fail(ErrorCode::invalid_data, "it is cut short: " + present.human() + " of " +
                                             expected.human() + " of tensors are there");
  }
  if (present != expected ||
      digest_of(about, as_bytes(text)) != about["sha256"].get<std::string>()) {
    return fail(ErrorCode::invalid_data, "it is damaged: its content is not what was written");
  }
  OUTCROP_TRY(tensors, decode_tensors(as_bytes(text)));
  file.tensors = std::move(tensors);
  return file;
}

Json shape_json(const GeneratorShape& shape) {
  return {{"latent", shape.latent},
          {"encoder_width", shape.encoder_width},
          {"velocity_width", shape.velocity_width},
          {"seismic_width", shape.seismic_width}};
}

Result<GeneratorShape> shape_from(const Json& json) {
  const auto extent = [&](const char* key) {
    return json_integer(json.at(key), key, 1, largest_extent);
  };
  OUTCROP_TRY(latent, extent("latent"));
  OUTCROP_TRY(encoder_width, extent("encoder_width"));
  OUTCROP_TRY(velocity_width, extent("velocity_width"));
  OUTCROP_TRY(seismic_width, extent("seismic_width"));
  return GeneratorShape{latent, encoder_width, velocity_width, seismic_width};
}

// What a header says of its model, and networks of that shape without their weights.
Result<TrainedModel> described_by(const Json& about) {
  TrainedModel model;
  model.name = about.at("model").get<std::string>();
  OUTCROP_TRY(stage, json_integer(about.at("stage"), "stage", 0));
  model.stage = stage;
  OUTCROP_TRY(epoch, json_integer(about.at("epoch"), "epoch", 0));
  model.epoch = epoch;
  model.trained = std::chrono::duration<double>(about.at("trained_seconds").get<double>());
  model.data_digest = about.at("data_digest").get<std::string>();
  OUTCROP_TRY(shape, shape_from(about.at("shape")));
  model.generator = make_generator(shape, 0);
  return model;
}

std::optional<torch::Tensor> find_tensor(const NamedTensors& tensors, std::string_view name) {
  for (const auto& [candidate, tensor] : tensors) {
    if (candidate == name) return tensor;
  }
  return std::nullopt;
}

void append_state(NamedTensors& state, const std::string& prefix,
                  const torch::jit::Module& network) {
  for (const auto& parameter : network.named_parameters()) {
    state.emplace_back(prefix + "." + parameter.name, parameter.value);
  }
  for (const auto& buffer : network.named_buffers()) {
    state.emplace_back(prefix + "." + buffer.name, buffer.value);
  }
}

}  // namespace

std::string_view to_string(ModelFileKind kind) {
  return kind == ModelFileKind::weights ? "weights" : "checkpoint";
}

Status write_model_file(const std::filesystem::path& path, const ModelFile& file) {
  OUTCROP_TRY(payload, encode_tensors(file.tensors));
  Json about = Json::parse(file.about, nullptr, /*allow_exceptions=*/false);
  if (!about.is_object()) return fail(ErrorCode::internal, "a model file needs a JSON object");
  about["payload_bytes"] = payload.size();
  about["sha256"] = digest_of(about, payload);
  Bytes bytes = to_bytes(first_line(file.kind) + json_text(about) + "\n");
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return write_file_durably(path, bytes);
}

Result<ModelFile> read_model_file(const std::filesystem::path& path) {
  OUTCROP_TRY(bytes, read_file(path, largest_file));
  auto file = decode_model_file(as_text(bytes));
  if (!file) return fail(file.error().context("reading " + path.string()));
  return file;
}

NamedTensors state_of(const Generator& generator) {
  NamedTensors state;
  append_state(state, "encoder", generator.encoder);
  append_state(state, "velocity_decoder", generator.velocity_decoder);
  append_state(state, "seismic_decoder", generator.seismic_decoder);
  return state;
}

Status restore_state(const Generator& generator, const NamedTensors& tensors) {
  torch::NoGradGuard no_gradient;
  for (const auto& [name, target] : state_of(generator)) {
    const auto source = find_tensor(tensors, name);
    if (!source) return fail(ErrorCode::invalid_data, "tensor " + name + " is missing");
    if (source->sizes() != target.sizes() || source->scalar_type() != target.scalar_type()) {
      return fail(ErrorCode::invalid_data, "tensor " + name + " has another shape than the model");
    }
    target.copy_(*source);
  }
  return {};
}

std::string describe_model(const TrainedModel& model) {
  const Json json{{"model", model.name},
                  {"stage", model.stage},
                  {"epoch", model.epoch},
                  {"trained_seconds", model.trained.count()},
                  {"data_digest", model.data_digest},
                  {"shape", shape_json(model.generator.shape)}};
  return json_text(json);
}

Result<TrainedModel> model_of(const ModelFile& file) {
  TrainedModel model;
  try {
    auto described = described_by(Json::parse(file.about));
    if (!described) return fail(described.error().context("it does not describe a model"));
    model = std::move(*described);
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data,
                std::string("it does not describe a model: ") + error.what());
  }
  OUTCROP_CHECK(restore_state(model.generator, file.tensors));
  model.generator.train(false);
  const auto mean = find_tensor(file.tensors, "prior.mean");
  const auto factor = find_tensor(file.tensors, "prior.factor");
  if (mean && factor) model.prior = LatentPrior{*mean, *factor};
  return model;
}

Status save_weights(const std::filesystem::path& path, const TrainedModel& model) {
  ModelFile file{ModelFileKind::weights, describe_model(model), state_of(model.generator)};
  if (model.prior) {
    file.tensors.emplace_back("prior.mean", model.prior->mean);
    file.tensors.emplace_back("prior.factor", model.prior->factor);
  }
  return write_model_file(path, file);
}

Result<TrainedModel> load_model(const std::filesystem::path& path) {
  OUTCROP_TRY(file, read_model_file(path));
  auto model = model_of(file);
  if (!model) return fail(model.error().context("reading " + path.string()));
  return model;
}

}  // namespace outcrop::models
