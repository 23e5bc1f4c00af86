#include "tests/agent/forge.hpp"

#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/earlier_golden.hpp"
#include "protocol/trust/envelope.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop {
namespace {

messages::BlobReference add(ForgedRelease& release, std::string bytes) {
  const blob::ChunkTable table = blob::make_chunk_table(as_bytes(bytes));
  const std::string encoded(as_text(blob::encode(table)));
  const messages::BlobReference reference{table.blob, table.size, trust::sha256(encoded)};
  release.blobs[reference.chunk_table] = encoded;
  release.blobs[reference.sha256] = std::move(bytes);
  return reference;
}

std::string tensor_file(const std::vector<runtime::Tensor>& tensors) {
  return std::string(as_text(*runtime::encode_tensor_file(tensors)));
}

std::string script(const ScriptedVariant& variant) {
  return "{\"offset\":" + std::to_string(variant.offset) +
         ",\"call_ms\":" + std::to_string(variant.call_ms) +
         ",\"sampler_offset\":" + std::to_string(variant.sampler_offset) +
         ",\"sampler_ms\":" + std::to_string(variant.sampler_ms) +
         ",\"crash_at_call\":" + std::to_string(variant.crash_at_call) +
         ",\"crash_at_rows\":" + std::to_string(variant.crash_at_rows) +
         ",\"fail_at_rows\":" + std::to_string(variant.fail_at_rows) +
         ",\"kill_at_call\":" + std::to_string(variant.kill_at_call) +
         ",\"load_ms\":" + std::to_string(variant.load_ms) +
         ",\"crash_after_ms\":" + std::to_string(variant.crash_after_ms) + "}" +
         std::string(variant.padding, variant.name.back());
}

runtime::Tensor latent(std::int64_t rows, float first) {
  std::vector<float> values;
  for (std::int64_t row = 0; row < rows; ++row) {
    values.insert(values.end(), 4, first + static_cast<float>(row));
  }
  return runtime::Tensor::of_floats("latent", {rows, 4}, values);
}

// What scripted_runner.cpp makes of such latents, or of seeds of this number.
runtime::Tensor answer(const std::string& name, std::int64_t rows, float first) {
  std::vector<float> values;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (int i = 0; i < 9; ++i) {
      values.push_back(1000 * (first + static_cast<float>(row)) + static_cast<float>(i));
    }
  }
  return runtime::Tensor::of_floats(name, {rows, 1, 3, 3}, values);
}

// Two rows through decode: all that releases of protocols 1 to 3 are proved with.
void add_rows(ForgedRelease& release, messages::Manifest& manifest) {
  messages::RowsGolden rows;
  rows.latents = 2;
  rows.inputs = {{"latent", "float32", {4}, ""}};
  rows.outputs = {{"velocity", "float32", {1, 3, 3}, "m/s"}};
  manifest.signature = signature_of(rows);
  manifest.golden = {add(release, tensor_file({latent(2, 1)})),
                     add(release, tensor_file({answer("velocity", 2, 1)})), calls_of(rows)};
}

// Two seeds of what boards serve, and one latent.
void add_calls(ForgedRelease& release, messages::Manifest& manifest) {
  using messages::ScalarKind;
  using messages::ScalarType;
  using messages::TensorType;
  const std::vector<messages::Output> outputs{
      {"velocity", TensorType{"float32", {"batch", 1, 3, 3}, "m/s", {}}, {}}};
  messages::Method forward{"forward", {}, outputs};
  forward.inputs = {
      {"batch_size", ScalarType{ScalarKind::integer, {}, messages::Range{1, 256}, "batch"}},
      {"seed", ScalarType{ScalarKind::integer, std::int64_t{0}, {}, ""}}};
  messages::Method decode{"decode", {}, outputs};
  decode.inputs = {{"latent", TensorType{"float32", {"batch", 4}, "", {}}}};
  manifest.signature = {"forward", {forward, decode}};
  manifest.golden.input = add(release, tensor_file({latent(1, 3)}));
  manifest.golden.output = add(
      release, tensor_file({answer("one", 1, 1), answer("two", 1, 2), answer("three", 1, 3)}));
  manifest.golden.calls = {{"forward", {std::int64_t{1}, std::int64_t{1}}, {{"one"}}},
                           {"forward", {std::int64_t{1}, std::int64_t{2}}, {{"two"}}},
                           {"decode", {messages::TensorReference("latent")}, {{"three"}}}};
}

}  // namespace

Forge::Forge(bool directed) {
  const Timestamp now = SystemClock().now();
  root_.version = 1;
  root_.expires = now + std::chrono::days(1000);
  for (const std::string role :
       {"root", "targets", "revoked", "snapshot", "timestamp", "director", "stage", "another"}) {
    const auto& key = keys_.emplace(role, *trust::PrivateKey::generate()).first->second;
    if (role == "stage" || role == "another" || (role == "director" && !directed)) continue;
    root_.keys[key.public_key().id()] = key.public_key();
    root_.roles[role] = {{key.public_key().id()}, 1};
  }
  root_envelope_ =
      trust::sign_envelope("root", as_bytes(to_json(root_)), std::vector{keys_.at("root")});
  const trust::PublicKey stage = keys_.at("stage").public_key();
  targets_.keys = {{stage.id(), stage}};
  targets_.delegations = {{model, {{stage.id()}, 1}}};
  stage_.model = model;
  targets_.expires = revoked_.expires = stage_.expires = now + std::chrono::days(300);
  snapshot_.version = 0;
  timestamp_.version = 0;
}

ForgedRelease Forge::make_release(const ReleaseOptions& options) {
  ForgedRelease release;
  messages::Manifest manifest;
  manifest.minimum_protocol = options.minimum_protocol;
  manifest.minimum_agent = options.minimum_agent;
  manifest.model = model;
  manifest.stage = options.stage;
  manifest.epoch = 20 * options.stage;
  manifest.code_version = "0.1.0";
  manifest.about = {{"latent", "gaussian"}};
  manifest.budgets = options.budgets;
  if (options.minimum_protocol >= messages::signature_since) {
    add_calls(release, manifest);
  } else {
    add_rows(release, manifest);
  }
  for (const ScriptedVariant& scripted : options.variants) {
    messages::Variant variant;
    variant.name = scripted.name;
    variant.blob = add(release, script(scripted) + std::to_string(options.stage));
    release.variants[variant.name] = variant.blob;
    variant.engine = scripted.engine;
    variant.backend = scripted.backend;
    variant.operators = scripted.operators;
    variant.methods = {{"decode", "decode(Tensor latent) -> Tensor"},
                       {"forward", "forward(int batch_size, int seed) -> Tensor"}};
    variant.memory = ByteCount::mib(8);
    variant.tolerance = {{"velocity", 1.5, 15.0}};
    manifest.variants.push_back(std::move(variant));
  }
  const std::string text = to_json(manifest);
  release.manifest = trust::sha256(text);
  release.manifest_size = ByteCount(text.size());
  release.blobs[release.manifest] = text;
  return release;
}

void Forge::permit(const ForgedRelease& release) {
  stage_.releases.push_back(
      {release.manifest, release.manifest_size, stage_.releases.size() + 1, 20});
  ++stage_.version;
}

void Forge::withdraw(const ForgedRelease& release) {
  std::erase_if(stage_.releases, [&](const auto& r) { return r.manifest == release.manifest; });
  ++stage_.version;
}

void Forge::revoke(const ForgedRelease& release, const std::string& reason) {
  revoked_.manifests.push_back({release.manifest, reason, SystemClock().now()});
  ++revoked_.version;
}

void Forge::sign_stage_with_another_key() {
  stage_key_ = "another";
}

void Forge::let_stage_expire() {
  stage_.expires = SystemClock().now() - std::chrono::hours(1);
  ++stage_.version;
}

void Forge::replace_director() {
  keys_.erase("director");
  const auto& key = keys_.emplace("director", *trust::PrivateKey::generate()).first->second;
  root_.keys[key.public_key().id()] = key.public_key();
  root_.roles["director"] = {{key.public_key().id()}, 1};
  ++root_.version;
  later_roots_["root/" + std::to_string(root_.version)] =
      trust::sign_envelope("root", as_bytes(to_json(root_)), std::vector{keys_.at("root")});
}

std::string Forge::command(const std::string& device, const messages::Command& command,
                           std::chrono::seconds valid, const std::string& signer) const {
  if (!trust::names_director(root_)) return to_json(command);
  const messages::SignedCommand said{device, SystemClock().now() + valid, command};
  return trust::sign_envelope(messages::command_kind, as_bytes(to_json(said)),
                              std::vector{keys_.at(signer)});
}

messages::Move Forge::move(const messages::BrokerMove& move, const std::string& signer) const {
  return {trust::sign_envelope(messages::broker_move_kind, as_bytes(to_json(move)), std::vector{keys_.at(signer)})};
}

std::map<std::string, std::string> Forge::envelopes() {
  const Timestamp now = SystemClock().now();
  const auto sign = [&](const auto& role, const std::string& key) {
    return trust::sign_envelope(std::decay_t<decltype(role)>::kind, as_bytes(to_json(role)),
                                std::vector{keys_.at(key)});
  };
  ++snapshot_.version;
  snapshot_.expires = now + std::chrono::days(30);
  snapshot_.versions = {{"targets", targets_.version},
                        {"revoked", revoked_.version},
                        {trust::stage_role(model), stage_.version}};
  const std::string snapshot = sign(snapshot_, "snapshot");
  ++timestamp_.version;
  timestamp_.issued = now;
  timestamp_.expires = now + std::chrono::days(1);
  timestamp_.snapshot_version = snapshot_.version;
  timestamp_.snapshot = trust::sha256(snapshot);
  timestamp_.snapshot_size = ByteCount(snapshot.size());
  std::map<std::string, std::string> all = later_roots_;
  all.insert({{"root/1", root_envelope_},
              {"targets", sign(targets_, "targets")},
              {"revoked", sign(revoked_, "revoked")},
              {trust::stage_role(model), sign(stage_, stage_key_)},
              {"snapshot", snapshot},
              {"timestamp", sign(timestamp_, "timestamp")}});
  return all;
}

}  // namespace outcrop
