#include "tests/fuzz/parsers.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <nlohmann/json.hpp>

#include "agent/config/config.hpp"
#include "agent/control/open_inference.hpp"
#include "agent/deploy/ledger.hpp"
#include "platform/http/target.hpp"
#include "platform/text/csv.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/blob/chunk_frame.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/enrolment.hpp"
#include "protocol/messages/layers.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/picture.hpp"
#include "protocol/messages/report.hpp"
#include "protocol/messages/status.hpp"
#include "protocol/messages/telemetry.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/role_codec.hpp"
#include "protocol/trust/roles.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/png_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/frame.hpp"
#include "runtime/runner/messages.hpp"
#include "trainer_host/release/signing_request.hpp"

namespace outcrop::fuzz {
namespace {

namespace fs = std::filesystem;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// A message that was understood is understood again as the same one.
template <class Parse>
void same_again(const Parse& parse, BytesView input) {
  const auto message = parse(as_text(input));
  if (!message) {
    require(!message.error().message().empty(), "an error says what is wrong");
    return;
  }
  const std::string text = to_json(*message);
  const auto again = parse(text);
  require(again.has_value(), "what was read and written is read again");
  require(to_json(*again) == text, "what was read, written and read again is the same");
}

template <class Role>
void role(BytesView input) {
  same_again([](std::string_view text) { return trust::parse_role<Role>(as_bytes(text)); }, input);
}

void envelope(BytesView input) {
  const trust::PrivateKey key = *trust::PrivateKey::from_seed(trust::sha256("fuzz").bytes());
  const trust::Signers signers{"targets", {{key.public_key().id(), key.public_key()}}, 1};
  require(!trust::verify_envelope(as_text(input), "targets", signers), "nothing that nobody signed is verified");
  (void)trust::unverified_payload(as_text(input), "targets");
}

void manifest(BytesView input) {
  same_again(
      [](std::string_view text) -> Result<messages::Manifest> {
        OUTCROP_TRY(blob, trust::verify_bytes(as_bytes(text), trust::sha256(text)));
        return messages::parse_manifest(blob);
      },
      input);
}

void chunk_request(BytesView input) {
  const auto request = blob::decode_chunk_request(as_text(input));
  require(!request || blob::encode(*request) == as_text(input), "a request has one form");
}

void chunk_frame(BytesView input) {
  const auto frame = blob::decode_chunk_frame(as_text(input));
  if (!frame) return;
  const std::string again = blob::frame_header(*frame) + std::string(as_text(frame->chunk));
  require(again == as_text(input), "a frame has one form");
}

void chunk_table(BytesView input) {
  const auto bytes = trust::verify_bytes(input, trust::sha256(input));
  if (!bytes) return;
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{200'000}}) {
    const auto table = blob::decode_chunk_table(*bytes, trust::sha256("golden blob"), ByteCount(size));
    if (!table) continue;
    for (std::size_t i = 0; i <= table->chunks.size(); ++i) (void)table->matches(i, input);
  }
}

// A frame as the runner sends it, and whatever its header may hold.
void runner_frame(BytesView input) {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "there is a socket pair");
  UniqueFd ours(ends[0]);
  runtime::Channel channel{UniqueFd(ends[1])};
  std::thread writer([&ours, input] {
    for (BytesView rest = input; !rest.empty();) {
      const ssize_t sent = ::send(ours.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      rest = rest.subspan(static_cast<std::size_t>(sent));
    }
    ::shutdown(ours.get(), SHUT_RDWR);
  });
  const auto frame = channel.receive(runtime::no_deadline);
  ::shutdown(ours.get(), SHUT_RDWR);  // the rest is not waited for
  writer.join();
  if (!frame) return;
  for (const auto& [key, value] : frame->header.items()) {
    if (const auto tensors = runtime::decode_tensors(value, frame->payload)) {
      Bytes payload;
      (void)runtime::encode_tensors(*tensors, payload);
      require(payload == frame->payload, "tensors have the bytes that they came with");
    }
    (void)runtime::decode_arguments(value, frame->payload);
    (void)runtime::decode_inspection(value);
    (void)runtime::decode_backends(value);
  }
  (void)runtime::decode_error(frame->header);
}

void tensor_file(BytesView input) {
  (void)runtime::decode_tensor_metadata(input);
  const auto tensors = runtime::decode_tensor_file(input);
  if (!tensors) return;
  const auto bytes = runtime::encode_tensor_file(*tensors);
  require(bytes.has_value(), "tensors that were read are written");
  const auto again = runtime::decode_tensor_file(*bytes);
  require(again && again->size() == tensors->size(), "... and read again");
}

void npy(BytesView input) {
  if (const auto tensor = runtime::decode_npy(input)) {
    require(runtime::decode_npy(runtime::encode_npy(*tensor)).has_value(), "a tensor that was read is written");
  }
}

void png(BytesView input) {
  (void)runtime::decode_png(input);
}

void csv(BytesView input) {
  if (const auto table = platform::parse_csv(as_text(input))) {
    for (const auto& row : table->rows) require(row.size() == table->headings.size(), "a cell for each heading");
  }
}

void agent_config(BytesView input) {
  const UniqueFd file(::memfd_create("agent.toml", MFD_CLOEXEC));
  require(file && ::write(file.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()), "there is memory");
  (void)agent::read_config("/proc/self/fd/" + std::to_string(file.get()));
}

// Behind the checksum that it must have: what is looked for lies behind it.
void board_record(BytesView input) {
  const std::string text(as_text(input));
  const auto decided = agent::parse_decided(trust::sha256(text).hex() + "\n" + text);
  (void)agent::parse_decided(text);
  if (!decided) {
    require(!decided.error().message().empty(), "an error says what is wrong");
    return;
  }
  const std::string written = agent::to_text(*decided);
  const auto again = agent::parse_decided(written);
  require(again && agent::to_text(*again) == written, "what was read and written is read again as the same");
}

messages::Manifest served() {
  messages::Manifest manifest;
  manifest.model = "curvefault";
  manifest.stage = 1;
  const messages::TensorType map{"float32", {"batch", 2}, "m/s", {}};
  messages::ScalarType seed, scale, smooth;
  seed.otherwise = std::int64_t{0};
  scale.kind = messages::ScalarKind::real;
  smooth.kind = messages::ScalarKind::boolean;
  manifest.signature = {"forward",
                        {{"forward",
                          {{"map", map}, {"seed", seed}, {"scale", scale}, {"smooth", smooth}},
                          {{"velocity", map, {}}, {"count", {"int64", {1}, "", {}}, {}}}}}};
  return manifest;
}

// JSON alone, and with what stands behind its last brace as tensors.
void open_inference(BytesView input) {
  static const messages::Manifest manifest = served();
  const std::string_view body = as_text(input);
  const std::size_t brace = body.rfind('}');
  for (const std::string& length : {std::string(), brace == std::string_view::npos ? "0" : std::to_string(brace + 1)}) {
    const auto request = agent::read_inference(body, length, manifest.signature.serves());
    if (!request) {
      require(!request.error().message().empty(), "an error says what is wrong");
      continue;
    }
    for (const auto& tensor : request->arguments.tensors) require(runtime::check_size(tensor).has_value(), "a tensor has the bytes of its shape");
    const std::vector<float> values{1.5F, 2};
    const std::vector<std::int64_t> count{-4};
    const auto answer = agent::inference_answer(
        *request, manifest, {runtime::Tensor::of_floats("velocity", {1, 2}, values), runtime::Tensor::of_integers("count", {1}, count)});
    if (answer) require(nlohmann::json::accept(answer->body), "an answer is JSON");
  }
}

void http_target(BytesView input) {
  if (const auto target = http::parse_target(as_text(input))) require(target->path.starts_with('/'), "a path begins with /");
}

void certificate(BytesView input) {
  (void)trust::read_certificate(as_text(input));
}

void certificate_request(BytesView input) {
  (void)trust::read_certificate_request(as_text(input));
}

void signing_request(BytesView input) {
  const auto request = release::SigningRequest::parse(as_text(input));
  if (!request) return;
  (void)request->in_words();
  const auto again = release::SigningRequest::parse(request->to_json());
  require(again && again->documents() == request->documents(), "a request is read again as the same");
}

template <auto parse>
void text(BytesView input) {
  same_again(parse, input);
}
template <auto parse>
void bytes(BytesView input) {
  same_again([](std::string_view message) { return parse(as_bytes(message)); }, input);
}

}  // namespace

std::span<const Parser> parsers() {
  static const std::vector<Parser> all{
      {"agent-config", agent_config, {"configs/agent.toml"}},
      {"artifact", text<messages::parse_artifact>, {"artifact.json"}},
      {"board-record", board_record, {}},
      {"certificate", certificate, {}},
      {"certificate-request", certificate_request, {}},
      {"chunk-frame", chunk_frame, {"chunk-frame.bin", "chunk-frame-refusal.bin"}},
      {"chunk-request", chunk_request, {"chunk-request.bin"}},
      {"chunk-table", chunk_table, {"chunk-table.bin"}},
      {"command", text<messages::parse_command>, {"offer.json", "cancel.json", "acknowledgement.json", "used.json", "watch.json", "measure.json", "draw.json", "move.json"}},
      {"csv", csv, {}},
      {"enrolment", text<messages::parse_enrolment_bundle>, {"enrolment.json"}},
      {"enrolment-request", text<messages::parse_enrolment_request>, {"enrolment-request.json"}},
      {"envelope", envelope, {"report.envelope.json", "command.envelope.json", "status.envelope.json"}},
      {"http-target", http_target, {}},
      {"layers", bytes<messages::parse_layers>, {"layers.json"}},
      {"manifest", manifest, {"manifest.json"}},
      {"npy", npy, {}},
      {"open-inference", open_inference, {}},
      {"picture", bytes<messages::parse_picture>, {"picture.json"}},
      {"png", png, {}},
      {"progress", text<messages::parse_progress>, {"progress.json"}},
      {"report", bytes<messages::parse_report>, {"report.json"}},
      {"role-revoked", role<trust::RevokedMetadata>, {}},
      {"role-root", role<trust::RootMetadata>, {}},
      {"role-snapshot", role<trust::SnapshotMetadata>, {}},
      {"role-stage", role<trust::StageMetadata>, {}},
      {"role-targets", role<trust::TargetsMetadata>, {}},
      {"role-timestamp", role<trust::TimestampMetadata>, {}},
      {"runner-frame", runner_frame, {}},
      {"signed-command", bytes<messages::parse_signed_command>, {"command.json"}},
      {"signing-request", signing_request, {}},
      {"status", text<messages::parse_status>, {"status.json", "status-first-will.json"}},
      {"telemetry", bytes<messages::parse_telemetry>, {"telemetry.json"}},
      {"tensor-file", tensor_file, {}},
  };
  return all;
}

const Parser* parser(std::string_view name) {
  for (const Parser& one : parsers()) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

std::vector<fs::path> seeds(const Parser& parser, const fs::path& source) {
  std::vector<fs::path> files;
  for (const auto& version : fs::directory_iterator(source / "protocol/messages/golden")) {
    for (const char* name : parser.goldens) {
      if (fs::exists(version.path() / name)) files.push_back(version.path() / name);
    }
  }
  for (const char* name : parser.goldens) {
    if (fs::exists(source / name)) files.push_back(source / name);
  }
  const fs::path own = source / "tests/fuzz/corpus" / parser.name;
  if (fs::exists(own)) {
    for (const auto& file : fs::directory_iterator(own)) files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace outcrop::fuzz
