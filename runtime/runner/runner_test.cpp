#include "runtime/runner/runner.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/prove.hpp"
#include "tests/hostile/hostile_models.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

RunnerOptions options() {
  RunnerOptions options;
  options.program = std::filesystem::path(OUTCROP_BIN) / "outcrop-runner-torch";
  return options;
}

Runner started(const RunnerOptions& with = options()) {
  auto runner = Runner::start(with);
  if (!runner) throw std::runtime_error(runner.error().message());
  return std::move(*runner);
}

trust::VerifiedBlob blob_of(const std::filesystem::path& file) {
  const auto digest = trust::sha256_file(file);
  auto blob = trust::verify_blob(file, digest.value(), ByteCount(std::filesystem::file_size(file)));
  if (!blob) throw std::runtime_error(blob.error().message());
  return std::move(*blob);
}

// Allows just what the file names, as a manifest that was signed for it would.
Result<LoadReport> load_allowing_all(Runner& runner, const trust::VerifiedBlob& blob,
                                     int threads = 1) {
  OUTCROP_TRY(inspection, runner.inspect(blob));
  LoadRequest request;
  request.allowed_operators = inspection.operators;
  request.threads = threads;
  return runner.load(blob, request);
}

Value any_tensor() {
  const std::array<float, 2> values{1, 2};
  return Tensor::of_floats("", {2}, values);
}

// The models that most tests share, made once.
struct Models {
  TemporaryFolder folder;
  hostile::SmallGenerator goldens;

  Models() {
    using hostile::Form;
    goldens = hostile::write_small_generator(path("float"), Form::float32);
    hostile::write_small_generator(path("mobile"), Form::float_mobile);
    hostile::write_small_generator(path("quint8"), Form::quint8);
    hostile::write_small_generator(path("qint8"), Form::qint8);
  }
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return folder.path() / (name + ".ptl");
  }
};

const Models& models() {
  static const Models made;
  return made;
}

class Runners : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const {
    return folder_.path() / name;
  }

 private:
  TemporaryFolder folder_;
};

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
  EXPECT_GE(attempts->size(), 12U);
  for (const ProbedAttempt& attempt : *attempts) {
    EXPECT_TRUE(attempt.refused) << "it could " << attempt.what << ": " << attempt.detail;
  }
  EXPECT_FALSE(std::filesystem::exists(file("written")));
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
      prove(runner, "decode", models().goldens.golden_inputs, models().goldens.golden_outputs);
  ASSERT_THAT(proof, IsOk());
  EXPECT_EQ(proof->latents, 3U);
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
        prove(*runner, "decode", models().goldens.golden_inputs, models().goldens.golden_outputs),
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

TEST_F(Runners, are_ended_when_a_model_does_not) {
  for (const auto when : {hostile::When::load, hostile::When::call}) {
    hostile::write_endless(file("endless.ptl"), when);
    RunnerOptions hurried = options();
    hurried.load_deadline = hurried.call_deadline = milliseconds(700);
    Runner runner = started(hurried);
    const int process = runner.process_id();
    const auto loaded = load_allowing_all(runner, blob_of(file("endless.ptl")));
    if (when == hostile::When::load) {
      EXPECT_THAT(loaded, ErrorIs(ErrorCode::timeout, HasSubstr("0.7 s")));
    } else {
      ASSERT_THAT(loaded, IsOk());
      EXPECT_THAT(runner.infer("forward", std::array{any_tensor()}),
                  ErrorIs(ErrorCode::timeout, HasSubstr("'infer'")));
    }
    EXPECT_EQ(::kill(process, 0), -1) << "the child is still there";
    EXPECT_THAT(runner.infer("forward", std::array{any_tensor()}),
                ErrorIs(ErrorCode::timeout, HasSubstr("")));
  }
}

TEST_F(Runners, report_out_of_memory_and_go_on) {
  hostile::write_greedy(file("greedy.ptl"), hostile::When::load);
  Runner runner = started();
  EXPECT_THAT(load_allowing_all(runner, blob_of(file("greedy.ptl"))),
              ErrorIs(ErrorCode::out_of_memory, HasSubstr("226000000000")));
  EXPECT_THAT(load_allowing_all(runner, blob_of(models().path("float"))), IsOk());
}

TEST_F(Runners, hold_a_model_to_its_memory_limit) {
  hostile::write_hoarder(file("hoarder.ptl"));
  RunnerOptions small = options();
  small.memory_limit = ByteCount::mib(64);
  Runner runner = started(small);
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("hoarder.ptl"))), IsOk());
  EXPECT_THAT(runner.infer("forward", std::array{any_tensor()}),
              ErrorIs(ErrorCode::out_of_memory, HasSubstr("")));
  const auto peak = runner.peak_memory();
  ASSERT_THAT(peak, IsOk());
  EXPECT_GT(peak->value(), runner.hello().memory.value() + ByteCount::mib(30).value());
  EXPECT_LT(peak->value(), runner.hello().memory.value() + ByteCount::mib(80).value());
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

TEST_F(Runners, fail_the_proof_of_a_tampered_weight) {
  hostile::write_tampered_generator(file("tampered.ptl"));
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("tampered.ptl"))), IsOk());
  const auto proof =
      prove(runner, "decode", models().goldens.golden_inputs, models().goldens.golden_outputs);
  ASSERT_THAT(proof, IsOk());
  Runner honest = started();
  ASSERT_THAT(load_allowing_all(honest, blob_of(models().path("quint8"))), IsOk());
  const auto shown =
      prove(honest, "decode", models().goldens.golden_inputs, models().goldens.golden_outputs);
  ASSERT_THAT(shown, IsOk());
  std::vector<Tolerance> tolerances;
  for (const OutputError& error : shown->outputs) {
    tolerances.push_back({error.name, 1.5 * error.mean_abs_error, 1.5 * error.max_abs_error});
  }
  EXPECT_THAT(check_tolerances(*shown, tolerances), IsOk());
  EXPECT_THAT(check_tolerances(*proof, tolerances),
              ErrorIs(ErrorCode::refused, HasSubstr("'velocity' is off by")));
}

TEST_F(Runners, fail_the_proof_of_outputs_that_are_not_finite) {
  hostile::write_not_finite(file("infinite.ptl"));
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("infinite.ptl"))), IsOk());
  const std::array<float, 2> values{1, 2};
  const std::array golden{Tensor::of_floats("x", {1, 2}, values)};
  EXPECT_THAT(prove(runner, "forward", golden, golden),
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
