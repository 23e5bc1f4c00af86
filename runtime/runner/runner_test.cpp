#include "runtime/runner/runner.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner_fixture.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Runners, start_fully_confined_and_say_what_they_are) {
  const Runner runner = started();
  EXPECT_EQ(runner.hello().engine, "torch");
  EXPECT_THAT(runner.hello().missing, IsEmpty());
  EXPECT_EQ(runner.hello().confinement, Confinement::full);
  bool qnnpack = false;
  for (const Backend& backend : runner.hello().backends) {
    if (backend.name != "qnnpack") continue;
    qnnpack = true;
    EXPECT_THAT(backend.failed, IsEmpty());
  }
  EXPECT_TRUE(qnnpack);
  RecordProperty("start_ms", std::to_string(runner.hello().start_time.count()));
}

TEST_F(Runners, really_cannot_do_what_the_confinement_forbids) {
  // A listening port and a folder that anyone may write to: only the confinement can refuse.
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);

  Runner runner = started();
  const auto attempts = runner.probe_confinement(file("written"), ntohs(address.sin_port));
  ASSERT_THAT(attempts, IsOk());
  EXPECT_GE(attempts->size(), 15U);
  for (const ProbedAttempt& attempt : *attempts) {
    EXPECT_TRUE(attempt.refused) << "it could " << attempt.what << ": " << attempt.detail;
  }
  EXPECT_FALSE(std::filesystem::exists(file("written")));
}

TEST_F(Runners, say_which_operators_they_lack) {
  Runner runner = started();
  std::vector<std::string> operators{"quantized::conv_transpose2d", "no::such", "aten::relu.no"};
  for (const char* form : {"float", "mobile", "quint8", "qint8"}) {
    const auto inspection = runner.inspect(blob_of(models().path(form)));
    ASSERT_THAT(inspection, IsOk());
    operators.insert(operators.end(), inspection->operators.begin(), inspection->operators.end());
  }
  const auto lacking = runner.lacking(operators);
  ASSERT_THAT(lacking, IsOk());
  EXPECT_THAT(*lacking, ::testing::ElementsAre("no::such", "aten::relu.no"));
}

class EveryForm : public ::testing::TestWithParam<std::pair<const char*, double>> {};

TEST_P(EveryForm, reproduces_the_golden_outputs_and_measures) {
  const auto [name, largest_share] = GetParam();
  Runner runner = started();
  const auto loaded = load_allowing_all(runner, blob_of(models().path(name)));
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->methods.at("decode"), "decode(Tensor latent) -> Tuple[Tensor, Tensor]");
  EXPECT_EQ(loaded->methods.at("forward"),
            "forward(int batch_size, int seed=0) -> Tuple[Tensor, Tensor]");
  const auto proof =
      prove(runner, models().goldens.proofs);
  ASSERT_THAT(proof, IsOk());
  EXPECT_EQ(proof->calls, 3U);
  ASSERT_EQ(proof->outputs.size(), 2U);
  EXPECT_EQ(proof->outputs[0].name, "velocity");
  EXPECT_LE(proof->outputs[0].mean_abs_error, largest_share * 3000);  // m/s over 1500...4500
  EXPECT_LE(proof->outputs[1].mean_abs_error, largest_share * 20);

  const auto outputs = runner.infer("forward", std::array<Value, 1>{std::int64_t{2}});
  ASSERT_THAT(outputs, IsOk());
  EXPECT_THAT((*outputs)[1].shape, ::testing::ElementsAre(2, 2, 40, 10));

  const TemporaryFolder lock_folder;
  const auto lock = MeasurementLock::acquire(milliseconds(0), {lock_folder.path()});
  ASSERT_THAT(lock, IsOk());
  const auto measured =
      runner.measure(*lock, {.method = "decode",
                             .arguments = {models().goldens.golden_inputs[0].row(0)},
                             .maximum_calls = 20});
  ASSERT_THAT(measured, IsOk());
  EXPECT_EQ(measured->samples.size(), 20U);
  EXPECT_GT(measured->first, Milliseconds(0));
  EXPECT_LE(measured->steady.minimum, measured->steady.p50);
  EXPECT_LE(measured->steady.p50, measured->steady.p90);
  EXPECT_GT(measured->peak_memory, ByteCount::mib(10));

  const auto timed = runner.time_operators(*lock, {.method = "decode",
                                                   .arguments = {models().goldens.golden_inputs[0].row(0)},
                                                   .maximum_calls = 3});
  ASSERT_THAT(timed, IsOk());
  EXPECT_LE(timed->calls, 3U);
  const bool coded = std::string(name).ends_with("int8");
  EXPECT_TRUE(std::any_of(timed->operators.begin(), timed->operators.end(), [&](const OperatorTime& one) {
    return one.name.starts_with(coded ? "quantized::conv" : std::string(name) == "mobile" ? "prepacked::" : "aten::conv");
  }));
  EXPECT_THAT(runner.time_operators(*lock, {.method = "encode", .arguments = {}}), ErrorIs(ErrorCode::not_found, HasSubstr("encode")));
}

INSTANTIATE_TEST_SUITE_P(Runners, EveryForm,
                         ::testing::Values(std::pair("float", 1e-6), std::pair("mobile", 1e-5),
                                           std::pair("quint8", 0.02), std::pair("qint8", 0.02)),
                         [](const auto& form) { return form.param.first; });

TEST_F(Runners, two_at_a_time_do_not_disturb_each_other) {
  Runner first = started();
  Runner second = started();
  ASSERT_THAT(load_allowing_all(first, blob_of(models().path("float"))), IsOk());
  ASSERT_THAT(load_allowing_all(second, blob_of(models().path("quint8")), 2), IsOk());
  for (Runner* runner : {&first, &second, &first}) {
    EXPECT_THAT(
        prove(*runner, models().goldens.proofs),
        IsOk());
  }
}

TEST_F(Runners, refuse_an_operator_off_the_list_by_name_and_before_loading) {
  hostile::write_file_writer(file("writer.ptl"), file("written"));
  Runner runner = started();
  const auto blob = blob_of(file("writer.ptl"));
  const auto inspection = runner.inspect(blob);
  ASSERT_THAT(inspection, IsOk());
  EXPECT_THAT(inspection->operators, Contains("aten::save"));
  LoadRequest request;
  for (const auto& name : inspection->operators) {
    if (name != "aten::save") request.allowed_operators.push_back(name);
  }
  EXPECT_THAT(runner.load(blob, request), ErrorIs(ErrorCode::refused, HasSubstr("aten::save")));
  // It is still there for a model that is allowed.
  EXPECT_THAT(load_allowing_all(runner, blob_of(models().path("float"))), IsOk());
}

TEST_F(Runners, contain_a_file_that_writes_files_even_where_its_operators_are_signed_for) {
  hostile::write_file_writer(file("writer.ptl"), file("written"));
  Runner runner = started();
  // LibTorch may or may not notice that its write came to nothing.
  [[maybe_unused]] const auto loaded = load_allowing_all(runner, blob_of(file("writer.ptl")));
  EXPECT_FALSE(std::filesystem::exists(file("written")));
  hostile::load_here(file("writer.ptl"));
  EXPECT_TRUE(std::filesystem::exists(file("written"))) << "the attack is none";
}

TEST_F(Runners, contain_a_model_that_reads_files) {
  ASSERT_THAT(write_file_durably(file("secret"), std::string_view("1234")), IsOk());
  hostile::write_file_reader(file("reader.ptl"), file("secret"));
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("reader.ptl"))), IsOk());
  EXPECT_THAT(runner.infer("forward", std::array{any_tensor()}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not permitted")));
}

TEST_F(Runners, report_the_signal_of_a_crash) {
  for (const auto when : {hostile::When::load, hostile::When::call}) {
    hostile::write_crashing(file("crash.ptl"), when);
    Runner runner = started();
    const auto loaded = load_allowing_all(runner, blob_of(file("crash.ptl")));
    if (when == hostile::When::load) {
      EXPECT_THAT(loaded, ErrorIs(ErrorCode::crashed, HasSubstr("signal 8")));
    } else {
      ASSERT_THAT(loaded, IsOk());
      EXPECT_THAT(runner.infer("forward", std::array{any_tensor()}),
                  ErrorIs(ErrorCode::crashed, HasSubstr("signal 8")));
    }
  }
}

TEST_F(Runners, killed_in_the_middle_are_reported_and_replaced) {
  hostile::write_endless(file("endless.ptl"), hostile::When::call);
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("endless.ptl"))), IsOk());
  std::thread killer([process = runner.process_id()] {
    std::this_thread::sleep_for(milliseconds(200));
    ::kill(process, SIGKILL);
  });
  EXPECT_THAT(runner.infer("forward", std::array{any_tensor()}),
              ErrorIs(ErrorCode::crashed, HasSubstr("signal 9")));
  killer.join();
  runner = started();
  EXPECT_THAT(load_allowing_all(runner, blob_of(models().path("float"))), IsOk());
}

TEST_F(Runners, survive_files_that_are_cut_or_damaged) {
  const auto whole = read_file(models().path("quint8"), ByteCount::mib(10));
  ASSERT_THAT(whole, IsOk());
  Runner runner = started();
  for (const std::size_t length :
       {std::size_t{1}, std::size_t{100}, whole->size() / 2, whole->size() - 1}) {
    const BytesView part = BytesView(*whole).first(length);
    const auto blob = trust::verify_bytes(part, trust::sha256(part));
    ASSERT_THAT(blob, IsOk());
    EXPECT_THAT(load_allowing_all(runner, *blob), ErrorIs(ErrorCode::invalid_data, HasSubstr("")))
        << "cut at " << length;
  }
  // Signed over by mistake: the runner may answer, fail or crash, but its parent goes on.
  Bytes damaged = *whole;
  for (std::size_t i = 60; i < damaged.size(); i += 997) damaged[i] ^= std::byte{0x10};
  const auto blob = trust::verify_bytes(damaged, trust::sha256(BytesView(damaged)));
  ASSERT_THAT(blob, IsOk());
  EXPECT_THAT(load_allowing_all(runner, *blob), Not(IsOk()));
}

TEST_F(Runners, refuse_a_zip_archive_that_the_loader_would_take_for_a_flatbuffer) {
  auto bytes = read_file(models().path("quint8"), ByteCount::mib(10));
  ASSERT_THAT(bytes, IsOk());
  const BytesView mark = as_bytes(std::string_view("PTMF"));
  std::copy(mark.begin(), mark.end(), bytes->begin() + 4);
  const auto blob = trust::verify_bytes(*bytes, trust::sha256(BytesView(*bytes)));
  ASSERT_THAT(blob, IsOk());
  Runner runner = started();
  EXPECT_THAT(runner.inspect(*blob), ErrorIs(ErrorCode::invalid_data, HasSubstr("zip archive")));
  EXPECT_THAT(runner.load(*blob, {}), ErrorIs(ErrorCode::invalid_data, HasSubstr("zip archive")));
}

TEST_F(Runners, fail_the_proof_of_a_tampered_weight) {
  hostile::write_tampered_generator(file("tampered.ptl"));
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("tampered.ptl"))), IsOk());
  const auto proof =
      prove(runner, models().goldens.proofs);
  ASSERT_THAT(proof, IsOk());
  Runner honest = started();
  ASSERT_THAT(load_allowing_all(honest, blob_of(models().path("quint8"))), IsOk());
  const auto shown =
      prove(honest, models().goldens.proofs);
  ASSERT_THAT(shown, IsOk());
  std::vector<Tolerance> tolerances;
  for (const OutputError& error : shown->outputs) {
    tolerances.push_back({error.name, 1.5 * error.mean_abs_error, 1.5 * error.max_abs_error});
  }
  EXPECT_THAT(check_tolerances(*shown, tolerances), IsOk());
  EXPECT_THAT(check_tolerances(*proof, tolerances),
              ErrorIs(ErrorCode::refused, HasSubstr("'velocity' is off by")));
}

// Its decode is right: only what boards serve is not.
TEST_F(Runners, fail_the_proof_of_a_sampler_that_draws_other_samples) {
  hostile::write_missampling_generator(file("missampling.ptl"));
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("missampling.ptl"))), IsOk());
  const auto& calls = models().goldens.proofs;
  const auto decoded = prove(runner, std::span(calls).last(1));
  ASSERT_THAT(decoded, IsOk());
  EXPECT_LT(decoded->outputs[0].mean_abs_error, 0.01);
  const auto served = prove(runner, std::span(calls).first(1));
  ASSERT_THAT(served, IsOk());
  EXPECT_GT(served->outputs[0].mean_abs_error, 1.0);
}

TEST_F(Runners, fail_the_proof_of_outputs_that_are_not_finite) {
  hostile::write_not_finite(file("infinite.ptl"));
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("infinite.ptl"))), IsOk());
  const std::array<float, 2> values{1, 2};
  const Tensor golden = Tensor::of_floats("x", {1, 2}, values);
  EXPECT_THAT(prove(runner, std::array{ProofCall{"forward", {golden}, {golden}}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not finite")));
}

TEST_F(Runners, refuse_a_schema_a_backend_and_a_method_that_are_not_there) {
  Runner runner = started();
  const auto blob = blob_of(models().path("float"));
  LoadRequest request;
  const auto inspection = runner.inspect(blob);
  ASSERT_THAT(inspection, IsOk());
  request.allowed_operators = inspection->operators;
  request.expected_methods = {{"decode", "decode(Tensor latent) -> Tensor"}};
  EXPECT_THAT(runner.load(blob, request),
              ErrorIs(ErrorCode::refused, HasSubstr("should be decode(Tensor latent) -> Tensor")));
  request.expected_methods = {};
  request.backend = "abacus";
  EXPECT_THAT(runner.load(blob, request), ErrorIs(ErrorCode::unsupported, HasSubstr("abacus")));
  request.backend = "qnnpack";
  ASSERT_THAT(runner.load(blob, request), IsOk());
  EXPECT_THAT(runner.load(blob, request),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("already")));
  EXPECT_THAT(runner.infer("encode", {}),
              ErrorIs(ErrorCode::not_found, HasSubstr("it has decode, forward")));
  EXPECT_THAT(runner.infer("decode", std::array<Value, 1>{true}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("do not fit decode(Tensor latent)")));
}

TEST_F(Runners, that_cannot_be_found_are_a_clear_error) {
  RunnerOptions missing = options();
  missing.program = file("nowhere");
  EXPECT_THAT(Runner::start(missing), ErrorIs(ErrorCode::not_found, HasSubstr("nowhere")));
}

}  // namespace
}  // namespace outcrop::runtime
