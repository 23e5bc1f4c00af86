#include "protocol/messages/artifact.hpp"

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount artifact_limit = ByteCount::kib(256);
constexpr std::size_t most_shown = 64;
constexpr int quality_since = 3;  // the protocol whose artifacts tell of quality

// A name in the stage folder, never a way out of it.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         name.find('/') == std::string::npos;
}

Json file_to_json(const FileReference& file) {
  return {{"file", file.file}, {"sha256", file.sha256.hex()}, {"size", file.size.value()}};
}

// The three fields of a file, which in a variant stand among others.
FileReference read_file_fields(ObjectReader& reader) {
  FileReference file;
  file.file = reader.text("file");
  if (reader.ok() && !is_plain_file_name(file.file)) {
    reader.refuse("file", "'" + file.file + "' is not a plain file name in the stage folder");
  }
  file.sha256 = reader.digest("sha256");
  file.size = reader.size("size");
  return file;
}

FileReference read_file_object(ObjectReader reader) {
  FileReference file = read_file_fields(reader);
  reader.done();
  return file;
}

Json error_to_json(const ShownError& error) {
  return {{"mean_abs", error.mean_abs}, {"max_abs", error.max_abs}};
}

ShownError read_error(ObjectReader reader) {
  const ShownError error{reader.number("mean_abs", 0, 1e30), reader.number("max_abs", 0, 1e30)};
  reader.done();
  return error;
}

Json bounds_to_json(const std::map<std::string, OutputBounds>& bounds) {
  Json json = Json::object();
  for (const auto& [output, of] : bounds) {
    json[output] = {{"floor", error_to_json(of.floor)},
                    {"cap", error_to_json(of.cap)},
                    {"agreement", error_to_json(of.agreement)}};
  }
  return json;
}

std::map<std::string, OutputBounds> read_bounds(ObjectReader reader) {
  std::map<std::string, OutputBounds> bounds;
  for (const std::string& output : reader.keys(most_shown)) {
    ObjectReader of = reader.object(output);
    bounds[output] = {read_error(of.object("floor")), read_error(of.object("cap")),
                      read_error(of.object("agreement"))};
    of.done();
  }
  return bounds;
}

Json variant_to_json(const ArtifactVariant& variant) {
  Json json = file_to_json(variant.file);
  json["name"] = variant.name;
  json["engine"] = variant.engine;
  json["backend"] = variant.backend;
  json["shown"] = Json::object();
  for (const auto& [output, error] : variant.shown) {
    json["shown"][output] = error_to_json(error);
  }
  return json;
}

ArtifactVariant read_artifact_variant(ObjectReader& reader) {
  ArtifactVariant variant;
  variant.name = reader.name("name");
  variant.file = read_file_fields(reader);
  variant.engine = reader.name("engine");
  variant.backend = reader.name("backend");
  ObjectReader shown = reader.object("shown");
  for (const std::string& output : shown.keys(most_shown)) {
    variant.shown[output] = read_error(shown.object(output));
  }
  reader.done();
  return variant;
}

int protocol_of(const StageArtifact& artifact) {
  if (artifact.signature) return signature_since;
  return artifact.quality ? quality_since : first_protocol;
}

}  // namespace

Result<StageArtifact> parse_artifact(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, artifact_limit, "artifact"));
  OUTCROP_CHECK(check_type(json, "outcrop-artifact", "protocol"));
  ObjectReader reader(json, "artifact");
  StageArtifact artifact;
  reader.constant("type", "outcrop-artifact");
  const std::uint64_t protocol = reader.integer("protocol", 1);
  artifact.model = reader.name("model");
  artifact.stage = reader.integer("stage", 1);
  artifact.epoch = reader.integer("epoch", 1);
  artifact.lineage = reader.digest_or_empty("lineage");
  artifact.data_digest = reader.digest("data_digest");
  artifact.code_version = reader.text("code_version");
  if (protocol >= signature_since) {
    artifact.about = read_about(reader.object("about"));
    artifact.signature = read_signature(reader.object("signature"));
    artifact.bounds = read_bounds(reader.object("bounds"));
  } else {
    artifact.about["latent"] = reader.text("latent");
  }
  artifact.objective = static_cast<Objective>(
      reader.choice("objective", {"p50_ms", "p90_ms", "memory_mb", "error"}));
  artifact.budgets = read_budgets(reader);
  ObjectReader golden = reader.object("golden");
  if (artifact.signature) {
    artifact.golden_calls = read_calls(golden, *artifact.signature);
  } else {
    artifact.golden_method = golden.text("method");
  }
  artifact.golden_input = read_file_object(golden.object("input"));
  artifact.golden_output = read_file_object(golden.object("output"));
  golden.done();
  std::set<std::string> names;
  reader.objects("variants", 1, 16, [&](ObjectReader& element) {
    artifact.variants.push_back(read_artifact_variant(element));
    if (element.ok() && !names.insert(artifact.variants.back().name).second) {
      element.refuse("name", "stands twice among the variants");
    }
  });
  if (protocol >= signature_since ? reader.has("quality") : protocol >= quality_since) {
    artifact.quality = read_quality(reader.object("quality"));
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return artifact;
}

std::string to_json(const StageArtifact& artifact) {
  Json variants = Json::array();
  for (const ArtifactVariant& variant : artifact.variants) {
    variants.push_back(variant_to_json(variant));
  }
  Json golden{{"input", file_to_json(artifact.golden_input)},
              {"output", file_to_json(artifact.golden_output)}};
  Json json{{"type", "outcrop-artifact"},
            {"protocol", protocol_of(artifact)},
            {"model", artifact.model},
            {"stage", artifact.stage},
            {"epoch", artifact.epoch},
            {"lineage", digest_or_empty(artifact.lineage)},
            {"data_digest", artifact.data_digest.hex()},
            {"code_version", artifact.code_version},
            {"objective", to_string(artifact.objective)},
            {"budgets", budgets_to_json(artifact.budgets)},
            {"variants", variants}};
  if (artifact.signature) {
    json["about"] = artifact.about;
    json["signature"] = signature_to_json(*artifact.signature);
    json["bounds"] = bounds_to_json(artifact.bounds);
    golden["calls"] = calls_to_json(artifact.golden_calls);
  } else {
    json["latent"] = latent_of(artifact.about);
    golden["method"] = artifact.golden_method;
  }
  json["golden"] = std::move(golden);
  if (artifact.quality) json["quality"] = quality_to_json(*artifact.quality);
  return json_text(json, 2) + "\n";
}

Result<FileReference> reference_file(const fs::path& folder, const std::string& file) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(folder / file, error);
  if (error) {
    return fail(ErrorCode::not_found, (folder / file).string() + ": " + error.message());
  }
  OUTCROP_TRY(digest, trust::sha256_file(folder / file));
  return FileReference{file, digest, ByteCount(size)};
}

Status write_artifact(const fs::path& folder, const StageArtifact& artifact) {
  return write_file_durably(folder / artifact_file_name, to_json(artifact));
}

Result<StageArtifact> read_artifact(const fs::path& folder) {
  const fs::path path = folder / artifact_file_name;
  auto text = read_text_file(path, artifact_limit);
  if (!text) {
    if (text.error().code() != ErrorCode::not_found) return fail(std::move(text).error());
    return fail(ErrorCode::not_found, folder.string() + " is not a stage folder: it has no " +
                                          std::string(artifact_file_name));
  }
  auto artifact = parse_artifact(*text);
  if (!artifact) return fail(artifact.error().context(path.string()));
  return artifact;
}

}  // namespace outcrop::messages
