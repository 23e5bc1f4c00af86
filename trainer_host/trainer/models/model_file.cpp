#include "trainer_host/trainer/models/model_file.hpp"

#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/trust/digest.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/data/mapped_file.hpp"

namespace outcrop::models {
namespace {

using Json = nlohmann::json;

// Bytes. A checkpoint keeps its history there, 150 bytes an epoch: room for a million of them.
constexpr std::size_t longest_header = 256 << 20;
constexpr std::size_t deepest_header = 32;
// The payload begins at a multiple of it, so that its tensors can be used where they are mapped.
constexpr std::size_t alignment = 64;
// What versions before this one wrote: no kind, for there was one.
constexpr const char* first_kind = "generator";

std::string first_line(ModelFileKind kind) {
  return "outcrop " + std::string(to_string(kind)) + " 1\n";
}

// The tensors' own memory where it is dense, else a copy.
NamedTensors dense(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result.emplace_back(name, tensor.detach().contiguous());
  return result;
}

Result<std::vector<runtime::TensorView>> views_of(const NamedTensors& tensors) {
  std::vector<runtime::TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    const bool integers = tensor.scalar_type() == torch::kLong;
    if (!integers && tensor.scalar_type() != torch::kFloat) {
      return fail(ErrorCode::internal, "tensor " + name + " is neither float nor int64");
    }
    views.push_back({name, integers ? runtime::DType::int64 : runtime::DType::float32,
                     tensor.sizes().vec(),
                     BytesView(static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes())});
  }
  return views;
}

// Of header and tensors together: a changed epoch or history is damage as much as a changed weight.
class PayloadDigest {
 public:
  explicit PayloadDigest(Json about) {
    about.erase("sha256");
    hasher_.update(as_bytes(json_text(about)));
  }
  void add(BytesView bytes) { hasher_.update(bytes); }
  std::string finish() { return hasher_.finish().hex(); }

 private:
  trust::Sha256Hasher hasher_;
};

// `about` as the line before the payload, filled up with spaces.
std::string header_line(const std::string& first, const Json& about) {
  std::string line = json_text(about);
  const std::size_t end = first.size() + line.size() + 1;
  line.append((alignment - end % alignment) % alignment, ' ');
  return line + "\n";
}

Status write_pieces(const std::filesystem::path& path, const std::vector<BytesView>& pieces) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  for (const BytesView piece : pieces) {
    out.write(reinterpret_cast<const char*>(piece.data()),
              static_cast<std::streamsize>(piece.size()));
  }
  out.close();
  if (out) return {};
  return fail(Error::from_errno("writing " + path.string()));
}

// As long as a tensor lies in it.
using Mapping = std::shared_ptr<const data::MappedFile>;

torch::Tensor tensor_at(const runtime::TensorView& view,
                        const Mapping& file) {
  const auto type = view.dtype == runtime::DType::int64 ? torch::kLong : torch::kFloat;
  // from_blob wants a mutable pointer; nothing writes through it.
  void* data = const_cast<std::byte*>(view.data.data());
  if (reinterpret_cast<std::uintptr_t>(data) % sizeof(std::int64_t) == 0) {
    return torch::from_blob(data, view.shape, [file](void*) {}, type);
  }
  auto copy = torch::empty(view.shape, type);  // a file from before payloads were aligned
  std::memcpy(copy.data_ptr(), data, view.data.size());
  return copy;
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

Result<ModelFile> decode_model_file(const Mapping& mapped) {
  std::string_view text = as_text(mapped->bytes());
  ModelFile file;
  OUTCROP_TRY(kind, kind_of(text));
  file.kind = kind;
  OUTCROP_TRY(header, take_line(text, longest_header));
  file.about = header;
  if (nested_too_deeply(header, deepest_header)) {
    return fail(ErrorCode::invalid_data, "its header is damaged: it is nested too deeply");
  }
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
  PayloadDigest digest(about);
  digest.add(as_bytes(text));
  if (present != expected || digest.finish() != about["sha256"].get<std::string>()) {
    return fail(ErrorCode::invalid_data, "it is damaged: its content is not what was written");
  }
  OUTCROP_TRY(views, runtime::view_tensor_file(as_bytes(text)));
  for (const runtime::TensorView& view : views) {
    file.tensors.emplace_back(view.name, tensor_at(view, mapped));
  }
  return file;
}

}  // namespace

std::string_view to_string(ModelFileKind kind) {
  return kind == ModelFileKind::weights ? "weights" : "checkpoint";
}

Status write_model_file(const std::filesystem::path& path, const ModelFile& file) {
  const NamedTensors tensors = dense(file.tensors);
  OUTCROP_TRY(views, views_of(tensors));
  OUTCROP_TRY(names, runtime::encode_tensor_header(views));
  Json about = Json::parse(file.about, nullptr, /*allow_exceptions=*/false);
  if (!about.is_object()) return fail(ErrorCode::internal, "a model file needs a JSON object");
  std::vector<BytesView> payload{names};
  std::size_t size = names.size();
  for (const runtime::TensorView& view : views) {
    payload.push_back(view.data);
    size += view.data.size();
  }
  about["payload_bytes"] = size;
  PayloadDigest digest(about);
  for (const BytesView piece : payload) digest.add(piece);
  about["sha256"] = digest.finish();
  const std::string first = first_line(file.kind);
  const std::string header = first + header_line(first, about);
  payload.insert(payload.begin(), as_bytes(header));
  return write_file_durably(path, [&](const std::filesystem::path& temporary) {
    return write_pieces(temporary, payload);
  });
}

Result<ModelFile> read_model_file(const std::filesystem::path& path) {
  OUTCROP_TRY(mapped, data::MappedFile::open(path));
  auto file = decode_model_file(std::make_shared<const data::MappedFile>(std::move(mapped)));
  if (!file) return fail(file.error().context("reading " + path.string()));
  return file;
}

Result<std::string> kind_named_in(const std::filesystem::path& path) {
  OUTCROP_TRY(mapped, data::MappedFile::open(path));
  std::string_view text = as_text(mapped.bytes());
  const auto in_file = [&](const Error& error) {
    return fail(error.context("reading " + path.string()));
  };
  if (const auto kind = kind_of(text); !kind) return in_file(kind.error());
  const auto header = take_line(text, longest_header);
  if (!header) return in_file(header.error());
  if (nested_too_deeply(*header, deepest_header)) {
    return fail(ErrorCode::invalid_data,
                "reading " + path.string() + ": its header is damaged: it is nested too deeply");
  }
  const auto described = description_in(std::string(*header));
  if (!described) return in_file(described.error());
  return described->kind;
}

std::string to_json(const ModelDescription& description) {
  return json_text(Json{{"model", description.name},
                        {"kind", description.kind},
                        {"shape", Json::parse(description.shape)},
                        {"stage", description.stage},
                        {"epoch", description.epoch},
                        {"trained_seconds", description.trained.count()},
                        {"data_digest", description.data_digest}});
}

Result<ModelDescription> description_in(const std::string& about) {
  try {
    const Json json = Json::parse(about);
    ModelDescription description;
    description.name = json.at("model").get<std::string>();
    if (!messages::is_name(description.name)) {  // it becomes a part of files' names
      return fail(ErrorCode::invalid_data,
                  "it does not describe a model: its name is no name (1 to 63 of a-z, 0-9 and -)");
    }
    description.kind = json.value("kind", first_kind);
    description.shape = json_text(json.at("shape"));
    OUTCROP_TRY(stage, json_integer(json.at("stage"), "it does not describe a model: stage", 0));
    description.stage = stage;
    OUTCROP_TRY(epoch, json_integer(json.at("epoch"), "it does not describe a model: epoch", 0));
    description.epoch = epoch;
    description.trained = std::chrono::duration<double>(json.at("trained_seconds").get<double>());
    description.data_digest = json.at("data_digest").get<std::string>();
    return description;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data,
                std::string("it does not describe a model: ") + error.what());
  }
}

Status restore(const NamedTensors& targets, const NamedTensors& values) {
  const torch::NoGradGuard no_gradient;
  std::map<std::string_view, const torch::Tensor*> by_name;
  for (const auto& [name, tensor] : values) by_name.emplace(name, &tensor);
  for (const auto& [name, target] : targets) {
    const auto source = by_name.find(name);
    if (source == by_name.end()) return fail(ErrorCode::invalid_data, "tensor " + name + " is missing");
    if (source->second->sizes() != target.sizes() ||
        source->second->scalar_type() != target.scalar_type()) {
      return fail(ErrorCode::invalid_data, "tensor " + name + " has another shape than the model");
    }
    target.copy_(*source->second);
  }
  return {};
}

}  // namespace outcrop::models
