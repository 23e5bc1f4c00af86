// What neighbouring versions say to each other: golden/README.md.

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/version.hpp"
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
#include "protocol/trust/enrolment_token.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::messages {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const fs::path folder = fs::path(OUTCROP_SOURCE) / "protocol/messages/golden";

// A message of protocol 1, where another is not named.
std::string golden(const std::string& name, int protocol = 1) {
  auto text = read_text_file(folder / ("v" + std::to_string(protocol)) / name);
  EXPECT_THAT(text, IsOk());
  return text.value_or("");
}

trust::PrivateKey key(const std::string& name) {
  return *trust::PrivateKey::from_seed(trust::sha256("golden " + name + " key").bytes());
}

// Reads, writes again, compares; returns what was read.
template <class Parse>
auto same_again(const std::string& name, Parse parse, int protocol = 1) {
  const std::string text = golden(name, protocol);
  auto message = parse(text);
  EXPECT_THAT(message, IsOk()) << name;
  EXPECT_EQ(to_json(*message), text) << name;
  return std::move(*message);
}

template <class Message>
Message command(const std::string& name, int protocol = 1) {
  return same_again(
      name,
      [](const std::string& text) -> Result<Message> {
        OUTCROP_TRY(parsed, parse_command(text));
        return std::get<Message>(parsed);
      },
      protocol);
}

Offer golden_offer() {
  return command<Offer>("offer.json");
}
Progress golden_progress() {
  return same_again("progress.json", parse_progress);
}
Report golden_report(int protocol = 1) {
  return same_again(
      "report.json", [](const std::string& text) { return parse_report(as_bytes(text)); },
      protocol);
}
DeviceStatus golden_status(const std::string& name = "status.json", int protocol = 1) {
  return same_again(name, parse_status, protocol);
}

TEST(Golden, commands_read_and_write_the_same) {
  EXPECT_EQ(golden_offer().soak, std::chrono::seconds(600));
  EXPECT_EQ(command<Cancel>("cancel.json").return_to, trust::sha256("manifest of stage 1"));
  EXPECT_EQ(command<Acknowledgement>("acknowledgement.json").reports.size(), 2U);
  EXPECT_EQ(command<Used>("used.json", 2).session, 1'764'360'000U);
}

TEST(Golden, what_boards_say_reads_and_writes_the_same) {
  EXPECT_EQ(golden_progress().state, DeploymentState::measuring);
  EXPECT_EQ(golden_report().variants.at(0).measurement->p90_ms, 13.1);
  EXPECT_EQ(golden_status().deployment->state, DeploymentState::held);
  EXPECT_FALSE(golden_status("status-first-will.json").online);
}

TEST(Golden, what_is_asked_and_told_while_a_board_serves_reads_and_writes_the_same) {
  EXPECT_EQ(command<Watch>("watch.json", 5).interval, std::chrono::seconds(300));
  EXPECT_EQ(command<Measure>("measure.json", 5).manifest, trust::sha256("manifest of stage 1"));
  const Telemetry telemetry = same_again(
      "telemetry.json", [](const std::string& text) { return parse_telemetry(as_bytes(text)); }, 5);
  EXPECT_EQ(telemetry.served.latency_ms.max(), 31.0);
  EXPECT_EQ(telemetry.throttled, (ThrottlingBits{0x4, 0x5}));
  EXPECT_TRUE(command<Measure>("measure.json", 6).layers);
  const Layers layers =
      same_again("layers.json", [](const std::string& text) { return parse_layers(as_bytes(text)); }, 6);
  EXPECT_EQ(layers.variants.at(0).operators.at(2).time, std::chrono::nanoseconds(280'500));
  EXPECT_NE(command<Move>("move.json", 6).move.find("broker-move"), std::string::npos);
  EXPECT_EQ(command<Draw>("draw.json", 6).manifest, trust::sha256("manifest of stage 1"));
  const Picture picture = same_again(
      "picture.json", [](const std::string& text) { return parse_picture(as_bytes(text)); }, 6);
  EXPECT_EQ(picture.drawn->value(5), 4500.5);
}

// Of what either side writes in protocol 2 only reports have another form.
TEST(Golden, a_report_of_protocol_2_is_one_of_protocol_1_with_backends) {
  Report report = golden_report(2);
  EXPECT_EQ(report.header.protocol, 2);
  EXPECT_EQ(report.backends.at(1), (ReportedBackend{"onednn", {"quantized::conv_transpose2d"}}));
  report.header.protocol = 1;
  EXPECT_EQ(to_json(report), golden("report.json"));
}

TEST(Golden, a_report_of_protocol_6_tells_how_fast_what_served_was) {
  const Report report = golden_report(6);
  ASSERT_TRUE(report.incumbent);
  EXPECT_EQ(report.incumbent->variant.name, "float-mobile");
  EXPECT_EQ(slowdown(report), Slowdown(13.1 / 26.2, 12.25 / 24.5));
  EXPECT_EQ(slowdown(golden_report(2)), std::nullopt);

  const auto changed = [&](const std::function<void(Report&)>& change) {
    Report other = report;
    change(other);
    return slowdown(other);
  };
  EXPECT_EQ(changed([](Report& r) { r.active_variant = "float-mobile"; }), std::nullopt) << "was not measured";
  EXPECT_EQ(changed([](Report& r) { r.active_manifest.reset(); }), Slowdown(0.5, 0.5)) << "the only one that was measured";
  EXPECT_EQ(changed([](Report& r) { r.incumbent->variant.measurement->void_because = {"throttled"}; }), std::nullopt);
  EXPECT_EQ(changed([](Report& r) { r.variants[0].outcome = VariantOutcome::failed; }), std::nullopt);
  EXPECT_EQ(changed([](Report& r) { r.incumbent->manifest = r.deployment.manifest; }), std::nullopt);
  // Which of two will serve is not known yet.
  EXPECT_EQ(changed([](Report& r) {
              r.active_manifest.reset();
              r.variants[1] = r.variants[0];
            }),
            std::nullopt);
}

TEST(Golden, a_status_of_protocol_6_is_one_of_protocol_1_that_tells_processes_apart_and_of_lists) {
  DeviceStatus status = golden_status("status.json", 6);
  EXPECT_EQ(status.instance, 4'503'599'627'370'497U);
  EXPECT_EQ(status.stage_version, 8U);
  status.protocol = status.speaks = 1;
  EXPECT_EQ(to_json(status), golden("status.json"));
}

TEST(Golden, enrolment_reads_and_writes_the_same) {
  const auto request = same_again("enrolment-request.json", parse_enrolment_request);
  EXPECT_TRUE(trust::equal_macs(request.mac, trust::token_mac("00112233445566778899aabbccddeeff",
                                                              request.certificate_request)));
  const auto bundle = same_again("enrolment.json", parse_enrolment_bundle);
  EXPECT_THAT(trust::TrustedRoot::pin(bundle.root_envelope), IsOk());
  EXPECT_EQ(bundle.broker_port, 8884);
}

TEST(Golden, an_enrolment_of_protocol_6_is_proved_by_its_token) {
  EXPECT_EQ(same_again("enrolment-request.json", parse_enrolment_request, 6).protocol, 6);
  const auto bundle = same_again("enrolment.json", parse_enrolment_bundle, 6);
  EXPECT_EQ(bundle.versions.at("snapshot"), 42U);
  const auto key = trust::answer_key("00112233445566778899aabbccddeeff");
  EXPECT_TRUE(trust::equal_macs(bundle.mac, trust::token_mac(key.hex(), unproved_text(bundle))));
}

TEST(Golden, manifest_reads_and_writes_the_same) {
  const auto manifest = same_again("manifest.json", [](const std::string& text) {
    return parse_manifest(*trust::verify_bytes(as_bytes(text), trust::sha256(text)));
  });
  EXPECT_EQ(manifest.variants.size(), 2U);
  EXPECT_EQ(golden_offer().manifest, trust::sha256(golden("manifest.json")));
}

// From protocol 4 on it has a signature, and its goldens are calls of what boards serve.
TEST(Golden, manifest_of_protocol_4_reads_and_writes_the_same) {
  const std::string text = golden("manifest.json", 4);
  const auto manifest = parse_manifest(*trust::verify_bytes(as_bytes(text), trust::sha256(text)));
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(to_json(*manifest), text);
  EXPECT_EQ(manifest->golden.calls.front().method, manifest->signature.served);
  EXPECT_TRUE(manifest->quality);
}

// What is measured and served stays what it was.
TEST(Golden, manifest_of_protocol_1_is_read_as_calls) {
  const std::string text = golden("manifest.json");
  const auto manifest = parse_manifest(*trust::verify_bytes(as_bytes(text), trust::sha256(text)));
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->signature.served, "forward");
  EXPECT_EQ(manifest->signature.serves().inputs.at(0).name, "batch_size");
  ASSERT_EQ(manifest->golden.calls.size(), 4U);
  EXPECT_EQ(manifest->golden.calls[3].method, "decode");
  EXPECT_EQ(manifest->golden.calls[3].outputs.at(1), TensorReference("seismic", 3));
  EXPECT_EQ(manifest->outputs().at(0).type.unit, "m/s");
  EXPECT_EQ(manifest->about.at("latent").substr(0, 8), "gaussian");
}

// Of protocol 3 it says how good the model is.
TEST(Golden, what_a_stage_leaves_reads_and_writes_the_same) {
  for (const int protocol : {1, 3, 4}) {
    const auto artifact = read_artifact(folder / ("v" + std::to_string(protocol)));
    ASSERT_THAT(artifact, IsOk()) << protocol;
    EXPECT_EQ(to_json(*artifact), golden("artifact.json", protocol));
    EXPECT_EQ(artifact->quality.has_value(), protocol >= 3);
    EXPECT_EQ(artifact->signature.has_value(), protocol >= 4);
    if (artifact->quality) {
      EXPECT_EQ(*artifact->quality->baseline(mean_baseline)->outputs.at("seismic").find("rmse"), 0.929);
    }
  }
}

TEST(Golden, roles_verify_and_write_the_same) {
  const auto same_payload = [](const auto& verified) {
    ASSERT_THAT(verified, IsOk());
    using Role = std::decay_t<decltype(**verified)>;
    const auto payload = trust::unverified_payload(verified->envelope(), Role::kind);
    EXPECT_EQ(to_json(**verified), as_text(*payload)) << Role::kind;
  };
  const auto first = trust::TrustedRoot::pin(golden("metadata/1.root.json"));
  ASSERT_THAT(first, IsOk());
  const auto root = first->follow(golden("metadata/2.root.json"));
  ASSERT_THAT(root, IsOk());
  EXPECT_EQ(to_json(**root),
            as_text(*trust::unverified_payload(golden("metadata/2.root.json"), "root")));
  const auto targets = trust::verify_targets(*root, golden("metadata/targets.json"));
  const auto revoked = trust::verify_revoked(*root, golden("metadata/revoked.json"));
  const auto snapshot = trust::verify_snapshot(*root, golden("metadata/snapshot.json"));
  const auto timestamp = trust::verify_timestamp(*root, golden("metadata/timestamp.json"));
  same_payload(targets);
  same_payload(revoked);
  same_payload(snapshot);
  same_payload(timestamp);
  const auto stage = trust::verify_stage(*targets, *revoked, "curvefault",
                                         golden("metadata/stage-curvefault.json"));
  same_payload(stage);
  EXPECT_THAT(trust::check_snapshot(*timestamp, *snapshot), IsOk());
  EXPECT_NE((*stage)->release(golden_offer().manifest), nullptr);
}

TEST(Golden, envelopes_are_signed_the_same) {
  const std::string report = golden("report.json");
  EXPECT_EQ(trust::sign_envelope("report", as_bytes(report), std::vector{key("board")}),
            golden("report.envelope.json"));
}

// What is signed since protocol 5, and the root that says by whom.
TEST(Golden, commands_and_status_are_signed_the_same) {
  const auto first = trust::TrustedRoot::pin(golden("metadata/1.root.json"));
  const auto second = first->follow(golden("metadata/2.root.json"));
  EXPECT_FALSE(trust::names_director(**second));
  const auto root = second->follow(golden("metadata/3.root.json", 5));
  ASSERT_THAT(root, IsOk());
  EXPECT_EQ(to_json(**root),
            as_text(*trust::unverified_payload(golden("metadata/3.root.json", 5), "root")));
  const std::string envelope = golden("command.envelope.json", 5);
  const auto payload =
      trust::verify_envelope(envelope, command_kind, root->signers(trust::director_role));
  ASSERT_THAT(payload, IsOk());
  EXPECT_EQ(as_text(payload->bytes()), golden("command.json", 5));
  const auto command = parse_signed_command(payload->bytes());
  ASSERT_THAT(command, IsOk());
  Offer offer = golden_offer();
  offer.protocol = 5;
  EXPECT_EQ(std::get<Offer>(command->command), offer);
  EXPECT_EQ(to_json(*command), golden("command.json", 5));
  EXPECT_EQ(trust::sign_envelope(command_kind, payload->bytes(), std::vector{key("director")}),
            envelope);
  trust::Signers board{"board-1", {{key("board").public_key().id(), key("board").public_key()}}, 1};
  const auto status =
      trust::verify_envelope(golden("status.envelope.json", 5), status_kind, board);
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(parse_status(as_text(status->bytes()))->speaks, 5);
}

TEST(Golden, transfer_reads_and_writes_the_same) {
  const std::string blob(65'636, 'o');
  const std::string request_text = golden("chunk-request.bin");
  const auto request = blob::decode_chunk_request(request_text);
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(encode(*request), request_text);
  EXPECT_EQ(request->blob, trust::sha256(blob));

  const std::string table = golden("chunk-table.bin");
  const auto verified = trust::verify_bytes(as_bytes(table), trust::sha256(table));
  const auto chunks = blob::decode_chunk_table(*verified, request->blob, ByteCount(blob.size()));
  ASSERT_THAT(chunks, IsOk());
  const Bytes encoded = encode(*chunks);
  EXPECT_EQ(as_text(encoded), table);

  for (const char* name : {"chunk-frame.bin", "chunk-frame-refusal.bin"}) {
    const std::string text = golden(name);
    const auto frame = blob::decode_chunk_frame(text);
    ASSERT_THAT(frame, IsOk());
    EXPECT_EQ(frame_header(*frame) + std::string(as_text(frame->chunk)), text);
    EXPECT_EQ(frame->transfer, request->transfer);
    EXPECT_EQ(frame->depot, "depot-1");
    if (frame->answer == blob::ChunkAnswer::data) {
      EXPECT_TRUE(chunks->matches(frame->index, frame->chunk));
    }
  }
}

// Nothing that SCHEMA.md names is left out of the files: the codecs refuse documents with missing
// keys, so what remains are lists and values that may be empty.
void expect_filled(const json& value, const std::string& path) {
  EXPECT_FALSE(value.is_null()) << path;
  EXPECT_FALSE(value.is_string() && value.get<std::string>().empty()) << path;
  if (!value.is_structured()) return;
  EXPECT_FALSE(value.empty()) << path;
  for (const auto& [name, inner] : value.items()) expect_filled(inner, path + "/" + name);
}

TEST(Golden, holds_every_field) {
  for (const char* name : {"offer.json", "cancel.json", "acknowledgement.json", "status.json",
                           "progress.json", "enrolment-request.json", "enrolment.json"}) {
    expect_filled(json::parse(golden(name)), name);
  }
  json report = json::parse(golden("report.json"));
  report["variants"] = json::array({report["variants"][0]});  // the second was not measured
  report["variants"][0].erase("reason");
  expect_filled(report, "report.json");
  json manifest = json::parse(golden("manifest.json"));
  for (json& input : manifest["golden"]["inputs"]) input.erase("unit");  // inputs have none
  expect_filled(manifest, "manifest.json");
  expect_filled(json::parse(golden("status.json", 6)), "status.json");
  expect_filled(json::parse(golden("artifact.json", 3)), "artifact.json");
  for (const char* name : {"manifest.json", "artifact.json"}) {
    json document = json::parse(golden(name, 4));
    for (json& method : document["signature"]["methods"]) {
      for (json& input : method["inputs"]) input.erase("unit");  // latents have none
    }
    expect_filled(document, name);
  }
}

TEST(Golden, every_key_stands_in_the_schema) {
  const std::string schema =
      *read_text_file(fs::path(OUTCROP_SOURCE) / "protocol/messages/SCHEMA.md");
  const std::function<void(const json&)> check = [&](const json& value) {
    for (const auto& [name, inner] : value.items()) {
      const bool data = name == "velocity" || name == "decode" || name == "forward" || name == "stage-curvefault";
      if (value.is_object() && !data) {
        EXPECT_THAT(schema, HasSubstr(name));
      }
      if (inner.is_structured()) check(inner);
    }
  };
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".json") check(json::parse(*read_text_file(entry.path())));
  }
}

// The board's side, as any later version must still play it.
TEST(Golden, a_board_answers_an_offer_in_the_protocol_of_the_offer) {
  const Offer offer = golden_offer();
  EXPECT_EQ(offer.protocol, 1);
  Progress progress = golden_progress();
  progress.header = {"board-1", 3, 17, progress.header.time, false, offer.protocol};
  progress.deployment = {offer.rollout, offer.generation, offer.manifest};
  EXPECT_EQ(to_json(progress), golden("progress.json"));
  Report report = golden_report();
  report.header.protocol = offer.protocol;
  report.deployment = {offer.rollout, offer.generation, offer.manifest};
  EXPECT_EQ(trust::sign_envelope("report", as_bytes(to_json(report)), std::vector{key("board")}),
            golden("report.envelope.json"));
}

// The host's side.
TEST(Golden, a_host_answers_a_board_in_what_it_speaks) {
  const DeviceStatus status = golden_status();
  Offer offer = golden_offer();
  offer.protocol = std::min(protocol_version, status.speaks);
  offer.model = status.model;
  offer.device_class = status.device_class;
  EXPECT_EQ(to_json(offer), golden("offer.json"));

  trust::Signers board{"board-1", {{key("board").public_key().id(), key("board").public_key()}}, 1};
  const auto payload = trust::verify_envelope(golden("report.envelope.json"), "report", board);
  ASSERT_THAT(payload, IsOk());
  const auto report = parse_report(payload->bytes());
  ASSERT_THAT(report, IsOk());
  Acknowledgement answer{{{report->header.session, report->header.sequence}, {3, 19}}};
  answer.protocol = report->header.protocol;
  EXPECT_EQ(to_json(answer), golden("acknowledgement.json"));
}

TEST(Golden, status_is_written_for_readers_of_every_version) {
  EXPECT_EQ(json::parse(to_json(DeviceStatus{}))["protocol"], 1);
}

TEST(Golden, the_next_protocol_is_too_new_before_anything_else_is_judged) {
  const auto next = [](const std::string& name) {
    json document = json::parse(golden(name));
    document["protocol"] = protocol_version + 1;
    document["unheard_of"] = true;
    return document.dump();
  };
  const auto too_new = [] { return ErrorIs(ErrorCode::unsupported, HasSubstr("too new")); };
  for (const char* name : {"offer.json", "cancel.json", "acknowledgement.json"}) {
    EXPECT_THAT(parse_command(next(name)), too_new()) << name;
  }
  EXPECT_THAT(parse_status(next("status.json")), too_new());
  EXPECT_THAT(parse_progress(next("progress.json")), too_new());
  EXPECT_THAT(parse_report(as_bytes(next("report.json"))), too_new());
  EXPECT_THAT(parse_enrolment_request(next("enrolment-request.json")), too_new());
  EXPECT_THAT(parse_enrolment_bundle(next("enrolment.json")), too_new());
}

}  // namespace
}  // namespace outcrop::messages
