#include <gmock/gmock.h>

#include <random>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/report.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::messages {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr Timestamp now{std::chrono::seconds(1'800'000'000)};

BlobReference some_blob(std::string_view text) {
  return {trust::sha256(text), ByteCount(text.size()), trust::sha256("table of it")};
}

Quality some_quality() {
  Quality quality;
  quality.samples = 64;
  quality.held_out = true;
  quality.units = {{"velocity", "m/s"}, {"seismic", "pressure"}};
  const auto score = [](double ssim, double mae, double rmse) {
    return OutputScore{{{"ssim", ssim}, {"mae", mae}, {"rmse", rmse}}};
  };
  quality.model = {"float",
                   {{"velocity", score(0.75, 176, 250)}, {"seismic", score(0.5, 0.25, 0.875)}}};
  quality.baselines = {{std::string(mean_baseline), {{"velocity", score(0.5, 607, 710)}}},
                       {"3000 m/s, silence", {{"velocity", score(0.25, 650, 800)}}}};
  quality.drawn = 16;
  quality.spread = {{"velocity", {690, 720}}};
  return quality;
}

Signature some_signature() {
  const std::vector<Output> pair{
      {"map", TensorType{"float32", {"batch", 1, 70, 70}, "m/s", Range{1500, 4500}}, {}},
      {"gather", TensorType{"float32", {"batch", 5, 1000, 70}, "pressure", {}}, {}}};
  Method forward{"forward", {}, pair};
  forward.inputs = {{"batch_size", ScalarType{ScalarKind::integer, {}, Range{1, 256}, "batch"}},
                    {"seed", ScalarType{ScalarKind::integer, std::int64_t{-3}, {}, ""}}};
  Method decode{"decode", {}, pair};
  decode.inputs = {{"latent", TensorType{"float32", {"batch", 128}, "", {}}}};
  return {"forward", {forward, decode}};
}

Manifest some_manifest() {
  Manifest manifest;
  manifest.minimum_agent = "0.1.0";
  manifest.model = "curvefault";
  manifest.stage = 2;
  manifest.epoch = 40;
  manifest.lineage = trust::sha256("stage 1");
  manifest.data_digest = trust::sha256("data");
  manifest.code_version = "0.1.0 (6ebda3e)";
  manifest.about = {{"latent", "gaussian fitted to the encoder's latents"}};
  manifest.budgets = {{"raspberry-pi-4", 400, 200}, {"raspberry-pi-5", 150.5, 200}};
  manifest.signature = some_signature();
  manifest.golden = {some_blob("in"),
                     some_blob("out"),
                     {{"forward", {std::int64_t{1}, std::int64_t{1}}, {{"map_1"}, {"gather_1"}}},
                      {"decode", {TensorReference("latent")}, {{"map_2"}, {"gather_2"}}}}};
  for (const char* name : {"float", "int8-qint8"}) {
    manifest.variants.push_back(
        {name,
         some_blob(name),
         "torch",
         "qnnpack",
         {"aten::add.Tensor", "quantized::conv2d.new"},
         {{"decode", "decode(Tensor latent) -> Tuple[Tensor, Tensor]"},
          {"forward", "forward(int batch_size, int seed=0) -> Tuple[Tensor, Tensor]"}},
         ByteCount::mib(30),
         {{"map", 30.25, 450}, {"gather", 0.04, 0.4}}});
  }
  return manifest;
}

Result<Manifest> read(const std::string& text) {
  const auto blob = trust::verify_bytes(as_bytes(text), trust::sha256(text));
  return parse_manifest(*blob);
}

// The manifest with one value changed by a JSON patch.
Result<Manifest> read_changed(const std::function<void(Json&)>& change) {
  Json json = Json::parse(to_json(some_manifest()));
  change(json);
  return read(json.dump());
}

TEST(Manifest, reads_as_it_was_written_and_writes_the_same_bytes) {
  const Manifest manifest = some_manifest();
  const auto back = read(to_json(manifest));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, manifest);
  EXPECT_EQ(to_json(*back), to_json(manifest));
}

TEST(Manifest, names_the_path_of_what_it_refuses) {
  const auto refused = [](const std::string& message) {
    return ErrorIs(ErrorCode::invalid_data, HasSubstr(message));
  };
  EXPECT_THAT(read_changed([](Json& j) { j["variants"][1]["blob"]["size"] = -1; }),
              refused("manifest.variants[1].blob.size: must be an integer"));
  EXPECT_THAT(read_changed([](Json& j) { j["variants"][1]["blob"]["size"] = 1.5; }),
              refused("manifest.variants[1].blob.size"));
  EXPECT_THAT(read_changed([](Json& j) { j["golden"]["input"]["color"] = 1; }),
              refused("manifest.golden.input.color: is an unknown key"));
  EXPECT_THAT(read_changed([](Json& j) { j.erase("about"); }),
              refused("manifest.about: is missing"));
  EXPECT_THAT(read_changed([](Json& j) { j["model"] = "../etc"; }), refused("is not a name"));
  EXPECT_THAT(read_changed([](Json& j) { j["about"]["latent"] = "\033[2J"; }),
              refused("control characters"));
  EXPECT_THAT(read_changed([](Json& j) { j["data_digest"] = "ABCD"; }),
              refused("manifest.data_digest: a SHA-256 digest has 64"));
  EXPECT_THAT(read_changed([](Json& j) { j["objective"] = "fastest"; }),
              refused("'fastest' is none of"));
  EXPECT_THAT(read_changed([](Json& j) { j["type"] = "outcrop-artifact"; }),
              refused("type is 'outcrop-artifact'"));
  EXPECT_THAT(read_changed([](Json& j) { j["variants"] = Json::array(); }),
              refused("array of 1 to 16"));
  EXPECT_THAT(read_changed([](Json& j) { j["minimum_agent"] = "1.0"; }), refused("not a version"));
}

TEST(Manifest, refuses_what_contradicts_itself) {
  const auto refused = [](const std::string& message) {
    return ErrorIs(ErrorCode::invalid_data, HasSubstr(message));
  };
  EXPECT_THAT(read_changed([](Json& j) { j["variants"][1]["name"] = "float"; }),
              refused("stands twice among the variants"));
  EXPECT_THAT(read_changed([](Json& j) { j["budgets"][1] = j["budgets"][0]; }),
              refused("two budgets"));
  EXPECT_THAT(read_changed([](Json& j) {
                j["variants"][0]["operators"] = {"quantized::conv2d.new", "aten::add.Tensor"};
              }),
              refused("sorted"));
  EXPECT_THAT(read_changed([](Json& j) {
                std::swap(j["variants"][0]["tolerance"][0], j["variants"][0]["tolerance"][1]);
              }),
              refused("must be 'map'"));
  EXPECT_THAT(read_changed([](Json& j) { j["variants"][0]["tolerance"].erase(1); }),
              refused("array of 2 to 2"));
  EXPECT_THAT(read_changed([](Json& j) { j["variants"][0]["methods"].erase("forward"); }),
              refused("manifest.variants[0].methods.forward: is missing"));
  EXPECT_THAT(read_changed([](Json& j) { std::swap(j["golden"]["calls"][0], j["golden"]["calls"][1]); }),
              refused("manifest.golden.calls[0].method: must be 'forward': the first call is of"));
}

TEST(Manifest, has_calls_that_fit_its_signature) {
  const auto refused = [](const std::string& message) {
    return ErrorIs(ErrorCode::invalid_data, HasSubstr("manifest.golden.calls[0]." + message));
  };
  const auto changed = [](const std::function<void(Json&)>& change) {
    return read_changed([&](Json& j) { change(j["golden"]["calls"][0]); });
  };
  EXPECT_THAT(changed([](Json& c) { c["method"] = "sample"; }), refused("method: 'sample' is no"));
  EXPECT_THAT(changed([](Json& c) { c["arguments"].erase(0); }), refused("arguments: must be an"));
  EXPECT_THAT(changed([](Json& c) { c["arguments"][0] = {{"tensor", "latent"}}; }),
              refused("arguments[0].int: is missing"));
  EXPECT_THAT(changed([](Json& c) { c["arguments"][0] = {{"int", 1}, {"bool", true}}; }),
              refused("arguments[0].bool: is an unknown key"));
  EXPECT_THAT(changed([](Json& c) { c["arguments"][0] = {{"int", 1.5}}; }),
              refused("arguments[0].int: must be an integer"));
  EXPECT_THAT(changed([](Json& c) { c["outputs"].erase(0); }), refused("outputs: must name 2"));
}

TEST(Manifest, says_how_good_its_model_is_where_somebody_knows) {
  Manifest manifest = some_manifest();
  manifest.quality = some_quality();
  const auto back = read(to_json(manifest));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->quality, manifest.quality);
}

TEST(Manifest, is_too_new_before_it_is_anything_else) {
  EXPECT_THAT(read_changed([](Json& j) {
                j["minimum_protocol"] = protocol_version + 1;
                j["unheard_of"] = true;
              }),
              ErrorIs(ErrorCode::unsupported,
                      HasSubstr("needs protocol " + std::to_string(protocol_version + 1))));
  EXPECT_THAT(read_changed([](Json& j) {
                j["minimum_agent"] = "0.2.0";
                j["unheard_of"] = true;
              }),
              ErrorIs(ErrorCode::unsupported, HasSubstr("needs outcrop 0.2.0")));
}

TEST(Manifest, refuses_bombs_and_duplicates_in_the_text) {
  const std::string good = to_json(some_manifest());
  EXPECT_THAT(read("{\"type\":\"outcrop-manifest\"," + good.substr(1)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("'type' stands twice")));
  // The same key, spelt with an escape.
  EXPECT_THAT(read("{\"\\u0074ype\":\"outcrop-manifest\"," + good.substr(1)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("'type' stands twice")));
  EXPECT_THAT(read(std::string(100'000, '[')),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("levels deep")));
  EXPECT_THAT(read(good + std::string(300'000, ' ')),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("more than")));
  EXPECT_THAT(read(good + "x"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not valid JSON: parse error at line ")));
  EXPECT_THAT(read(good + "x"), ErrorIs(ErrorCode::invalid_data, HasSubstr("expected end of input")))
      << "whole, and not cut in mid-word";
  EXPECT_THAT(read("{\"a\":\"\xff\"}"), ErrorIs(ErrorCode::invalid_data, HasSubstr("JSON")));
  EXPECT_THAT(read("[]"), ErrorIs(ErrorCode::invalid_data, HasSubstr("not a JSON object")));
}

TEST(Manifest, survives_random_damage) {
  const std::string good = to_json(some_manifest());
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (int changes = 0; changes < 3; ++changes) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    if (round % 3 == 0) bad.resize(random() % bad.size());
    const auto result = read(bad);
    if (result) {
      EXPECT_EQ(*read(to_json(*result)), *result);
    }
  }
}

StageArtifact some_artifact() {
  StageArtifact artifact;
  artifact.model = "curvefault";
  artifact.stage = 1;
  artifact.epoch = 20;
  artifact.data_digest = trust::sha256("data");
  artifact.code_version = "0.1.0";
  artifact.about = {{"latent", "gaussian"}};
  artifact.golden_input = {"golden_input.safetensors", trust::sha256("in"), ByteCount(2)};
  artifact.golden_output = {"golden_output.safetensors", trust::sha256("out"), ByteCount(3)};
  artifact.variants = {{"float",
                        {"curvefault_stage1_float.ptl", trust::sha256("f"), ByteCount(1)},
                        "torch",
                        "qnnpack",
                        {{"velocity", {0, 0}}, {"seismic", {1e-7, 2.5e-6}}}}};
  return artifact;
}

TEST(Artifact, reads_as_it_was_written) {
  const TemporaryFolder folder;
  ASSERT_THAT(write_artifact(folder.path(), some_artifact()), IsOk());
  const auto back = read_artifact(folder.path());
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_artifact());
}

TEST(Artifact, of_protocol_3_tells_how_good_the_model_is_and_earlier_ones_do_not) {
  const TemporaryFolder folder;
  StageArtifact artifact = some_artifact();
  EXPECT_THAT(to_json(artifact), HasSubstr("\"protocol\": 1"));
  artifact.quality = some_quality();
  EXPECT_THAT(to_json(artifact), HasSubstr("\"protocol\": 3"));
  ASSERT_THAT(write_artifact(folder.path(), artifact), IsOk());
  const auto back = read_artifact(folder.path());
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, artifact);
}

TEST(Quality, is_read_strictly) {
  const std::string good = to_json(some_quality());
  ASSERT_THAT(parse_quality(good), IsOk());
  EXPECT_EQ(*parse_quality(good), some_quality());
  const auto with = [&](const std::string& pointer, const Json& value) {
    Json json = Json::parse(good);
    json[Json::json_pointer(pointer)] = value;
    return parse_quality(json.dump());
  };
  const auto refused = [](const std::string& why) {
    return ErrorIs(ErrorCode::invalid_data, HasSubstr(why));
  };
  EXPECT_THAT(with("/samples", 0), refused("quality.samples"));
  EXPECT_THAT(with("/data", "test"), refused("quality.data"));
  EXPECT_THAT(with("/model/outputs/velocity/rmse", -1), refused("velocity.rmse"));
  EXPECT_THAT(with("/model/outputs/velocity/ssim", 1.5), refused("velocity.ssim"));
  EXPECT_THAT(with("/model/more", 1), refused("more"));
  EXPECT_THAT(with("/baselines", Json::array()), refused("quality.baselines"));
  EXPECT_THAT(with("/baselines/0/name", "guess"), refused("mean of the training data"));
  EXPECT_THAT(with("/spread/velocity/data", "far"), refused("velocity.data"));
}

TEST(Quality, may_be_judged_by_another_metric_and_draw_nothing) {
  Quality quality;
  quality.samples = 1000;
  quality.units = {{"class", ""}};
  quality.judged_by = "error";
  quality.model = {"float", {{"class", {{{"accuracy", 0.9}, {"error", 0.1}}}}}};
  quality.baselines = {{std::string(mean_baseline), {{"class", {{{"error", 0.9}}}}}}};
  const auto back = parse_quality(to_json(quality));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, quality);
  quality.judged_by = "rmse";
  EXPECT_THAT(parse_quality(to_json(quality)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("class.rmse: is missing")));
  quality.judged_by = "error";
  quality.model.outputs["class"].metrics["error"] = 1.5;  // a share
  EXPECT_THAT(parse_quality(to_json(quality)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("class.error")));
}

TEST(Artifact, never_names_a_file_outside_its_folder) {
  const TemporaryFolder folder;
  for (const char* name : {"../x.ptl", "/etc/passwd", "a/b.ptl", "..", ""}) {
    StageArtifact artifact = some_artifact();
    artifact.variants[0].file.file = name;
    ASSERT_THAT(write_artifact(folder.path(), artifact), IsOk());
    EXPECT_THAT(read_artifact(folder.path()),
                ErrorIs(ErrorCode::invalid_data, HasSubstr("plain file name")))
        << name;
  }
}

TEST(Artifact, says_where_it_is_missing_or_cut) {
  const TemporaryFolder folder;
  EXPECT_THAT(read_artifact(folder.path()),
              ErrorIs(ErrorCode::not_found, HasSubstr("has no artifact.json")));
  const std::string text = to_json(some_artifact());
  ASSERT_TRUE(write_file_durably(folder.path() / "artifact.json", text.substr(0, 100)));
  EXPECT_THAT(read_artifact(folder.path()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("artifact.json")));
}

Report some_report() {
  Report report;
  report.header = {"board-1", 3, 17, now, true};
  report.deployment = {"rollout-7", 2, trust::sha256("manifest")};
  report.state = DeploymentState::not_measurable;
  report.reason = "another program used the processor";
  report.device_class = "raspberry-pi-4";
  report.agent = "0.1.0";
  report.engine = "torch";
  report.engine_version = "1.13.1";
  report.backends = {{"qnnpack", {}}, {"onednn", {"quantized::conv_transpose2d"}}};
  report.confinement_missing = {"no Landlock"};
  report.metadata_age = std::chrono::seconds(3600);
  report.active_manifest = trust::sha256("manifest before");
  report.active_variant = "float-mobile";
  ReportedMeasurement measurement;
  measurement.load_ms = 80.5;
  measurement.calls = 100;
  measurement.p90_ms = 12.25;
  measurement.peak_memory = ByteCount::mib(120);
  measurement.void_because = {"throttled"};
  report.variants = {
      {"int8-qint8", VariantOutcome::measured, "", {{"velocity", 20, 200}}, measurement},
      {"float", VariantOutcome::not_measured, "not offered", {}, std::nullopt}};
  return report;
}

TEST(Report, reads_as_it_was_written) {
  const auto back = parse_report(as_bytes(to_json(some_report())));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_report());
  EXPECT_EQ(to_string(back->state), "NOT_MEASURABLE");
}

TEST(Report, tells_a_host_of_protocol_1_nothing_of_backends) {
  Report report = some_report();
  report.header.protocol = 1;
  const std::string text = to_json(report);
  EXPECT_THAT(text, ::testing::Not(HasSubstr("backends")));
  report.backends.clear();
  EXPECT_EQ(*parse_report(as_bytes(text)), report);
  Json json = Json::parse(text);
  json["engine"]["backends"] = Json::array();
  EXPECT_THAT(parse_report(as_bytes(json.dump())),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("backends: is an unknown key")));
}

TEST(Report, refuses_what_is_too_large_too_new_or_malformed) {
  EXPECT_THAT(parse_report(as_bytes(std::string(10'000'000, '{'))),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("10.00 MB")));
  Json json = Json::parse(to_json(some_report()));
  json["protocol"] = protocol_version + 1;
  EXPECT_THAT(parse_report(as_bytes(json.dump())),
              ErrorIs(ErrorCode::unsupported, HasSubstr("too new")));
  json["protocol"] = 2;
  json["engine"]["backends"] = Json::array({{{"name", "onednn"}, {"failed", "conv"}}});
  EXPECT_THAT(parse_report(as_bytes(json.dump())),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("report.engine.backends[0].failed")));
  json["engine"]["backends"] = Json::array();
  json["state"] = "FINE";
  EXPECT_THAT(parse_report(as_bytes(json.dump())),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("report.state: 'FINE'")));
}

TEST(OfferAndProgress, read_as_they_were_written) {
  Offer offer{
      "rollout-7",       2,  "curvefault",   "raspberry-pi-4",         trust::sha256("manifest"),
      ByteCount(9000),   12, {"int8-qint8"}, OnUnmeasurable::activate, std::chrono::seconds(600),
      ByteCount::mib(64)};
  const auto offer_back = parse_offer(to_json(offer));
  ASSERT_THAT(offer_back, IsOk());
  EXPECT_EQ(*offer_back, offer);
  offer.variants = {"not a name"};
  EXPECT_THAT(parse_offer(to_json(offer)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("offer.variants")));
  const Progress progress{{"board-1", 3, 18, now, false},
                          {"rollout-7", 2, trust::sha256("manifest")},
                          DeploymentState::downloading,
                          "",
                          "",
                          ByteCount(65536),
                          ByteCount(5'000'000)};
  const auto progress_back = parse_progress(to_json(progress));
  ASSERT_THAT(progress_back, IsOk());
  EXPECT_EQ(*progress_back, progress);
  EXPECT_FALSE(parse_offer(to_json(progress)));
}

}  // namespace
}  // namespace outcrop::messages
