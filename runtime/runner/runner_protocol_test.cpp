// The parent's side against children that break the protocol, and the parts of it that need no
// engine: proofs, frames.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <cmath>
#include <limits>
#include <thread>

#include "runtime/runner/frame.hpp"
#include "runtime/runner/messages.hpp"
#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner.hpp"
#include "runtime/runner/trial.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunnerOptions fake(const char* mode) {
  RunnerOptions options;
  options.launcher = {OUTCROP_BIN "/../tests/outcrop-fake-runner", mode};
  options.confinement = Confinement::reduced;
  options.start_deadline = options.call_deadline = milliseconds(1500);
  return options;
}

struct BrokenReply {
  const char* mode;
  ErrorCode code;
  const char* message;
};

class BrokenReplies : public ::testing::TestWithParam<BrokenReply> {};

TEST_P(BrokenReplies, end_the_child_and_never_the_parent) {
  auto runner = Runner::start(fake(GetParam().mode));
  ASSERT_THAT(runner, IsOk());
  const int process = runner->process_id();
  EXPECT_THAT(runner->infer("forward", {}),
              ErrorIs(GetParam().code, HasSubstr(GetParam().message)));
  EXPECT_EQ(::kill(process, 0), -1) << "the child is still there";
  EXPECT_THAT(runner->infer("forward", {}), ErrorIs(GetParam().code, HasSubstr("")));
}

INSTANTIATE_TEST_SUITE_P(
    Runners, BrokenReplies,
    ::testing::Values(
        BrokenReply{"huge-payload", ErrorCode::crashed, "beyond what the protocol allows"},
        BrokenReply{"huge-header", ErrorCode::crashed, "beyond what the protocol allows"},
        BrokenReply{"not-json", ErrorCode::crashed, "not a JSON object"},
        BrokenReply{"no-type", ErrorCode::crashed, "not a JSON object with a type"},
        BrokenReply{"wrong-type", ErrorCode::crashed, "'?[31mred'"},
        BrokenReply{"negative-shape", ErrorCode::crashed, "dimension of -1"},
        BrokenReply{"huge-shape", ErrorCode::crashed, "more bytes than fit"},
        BrokenReply{"missing-bytes", ErrorCode::crashed, "without all its bytes"},
        BrokenReply{"extra-bytes", ErrorCode::crashed, "belong to no tensor"},
        BrokenReply{"slow-call", ErrorCode::crashed, "'call_ns'"},
        BrokenReply{"crowd", ErrorCode::refused, "the runner was ended: it had started "},
        BrokenReply{"half-a-frame", ErrorCode::timeout, "no answer within 1.5 s"},
        BrokenReply{
            "dies-talking", ErrorCode::crashed,
            "signal 6 (Aborted) (at 'infer'); its last words: the model said ?[31mgoodbye"}),
    [](const auto& reply) {
      std::string name = reply.param.mode;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(Runners, that_claim_impossible_times_are_not_believed) {
  const TemporaryFolder folder;
  const auto lock = MeasurementLock::acquire(milliseconds(0), {folder.path()});
  ASSERT_THAT(lock, IsOk());
  auto runner = Runner::start(fake("fast-clock"));
  ASSERT_THAT(runner, IsOk());
  EXPECT_THAT(runner->measure(
                  *lock, {.method = "forward", .arguments = {}, .maximum_time = milliseconds(100)}),
              ErrorIs(ErrorCode::crashed, HasSubstr("'first_ns'")));
  for (const auto& [mode, why] : {std::pair("slow-operators", "longer than they were waited for"),
                                  std::pair("negative-operators", "longer than they were waited for"),
                                  std::pair("few-operators", "operators and their times"),
                                  std::pair("many-watched", "'calls'")}) {
    auto liar = Runner::start(fake(mode));
    ASSERT_THAT(liar, IsOk());
    EXPECT_THAT(liar->time_operators(*lock, {.method = "forward", .arguments = {}, .maximum_calls = 3}),
                ErrorIs(ErrorCode::crashed, HasSubstr(why)))
        << mode;
  }
  EXPECT_THAT(Runner::start(fake("slow-start")),
              ErrorIs(ErrorCode::crashed, HasSubstr("'self_test_ns'")));
}

TEST(Runners, of_before_operators_were_timed_say_that_they_cannot) {
  const TemporaryFolder folder;
  const auto lock = MeasurementLock::acquire(milliseconds(0), {folder.path()});
  ASSERT_THAT(lock, IsOk());
  auto older = Runner::start(fake("older"));
  ASSERT_THAT(older, IsOk());
  EXPECT_THAT(older->time_operators(*lock, {.method = "forward", .arguments = {}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("unknown type")));
}

TEST(Runners, that_never_say_hello_are_ended_in_time) {
  RunnerOptions options = fake("silent");
  options.start_deadline = milliseconds(300);
  EXPECT_THAT(Runner::start(options), ErrorIs(ErrorCode::timeout, HasSubstr("0.3 s")));
  EXPECT_THAT(Runner::start(fake("exits")),
              ErrorIs(ErrorCode::crashed, HasSubstr("exited with status 3")));
}

TEST(Runners, that_cannot_say_what_they_lack_are_told_apart) {
  auto older = Runner::start(fake("older"));
  ASSERT_THAT(older, IsOk());
  EXPECT_THAT(older->lacking({"aten::relu"}),
              ErrorIs(ErrorCode::refused, HasSubstr("install the runner of the same version")));
  auto broken = Runner::start(fake("lacks-nonsense"));
  ASSERT_THAT(broken, IsOk());
  EXPECT_THAT(broken->lacking({"aten::relu"}), ErrorIs(ErrorCode::crashed, HasSubstr("operators")));
}

TEST(Runners, whose_confinement_the_kernel_does_not_show_count_as_reduced_and_are_refused) {
  RunnerOptions options = fake("silent-hello");
  const auto reduced = Runner::start(options);
  ASSERT_THAT(reduced, IsOk());
  EXPECT_EQ(reduced->hello().confinement, Confinement::reduced);
  EXPECT_THAT(reduced->hello().missing, Not(::testing::IsEmpty()));
  options.confinement = Confinement::full;
  EXPECT_THAT(Runner::start(options),
              ErrorIs(ErrorCode::refused,
                      AllOf(HasSubstr("cannot confine a runner fully"),
                            HasSubstr("system call filter"), HasSubstr("\"reduced\""))));
}

TEST(Runners, get_a_clean_environment_and_no_descriptor_of_the_parent) {
  // Without close-on-exec, as a careless library would leave it.
  const UniqueFd leaked(::open("/dev/null", O_RDONLY));
  ASSERT_EQ(::fcntl(leaked.get(), F_SETFD, 0), 0);
  ::setenv("OUTCROP_TEST_SECRET", "1", 1);
  EXPECT_THAT(Runner::start(fake("environment")),
              ErrorIs(ErrorCode::crashed,
                      AllOf(HasSubstr("[LC_ALL OMP_WAIT_POLICY OPENBLAS_NUM_THREADS PATH ]"),
                            Not(HasSubstr("SECRET")), Not(HasSubstr("descriptor-")))));
  ::unsetenv("OUTCROP_TEST_SECRET");
}

TEST(Runners, take_their_whole_process_group_with_them) {
  int group = 0;
  {
    const auto runner = Runner::start(fake("group"));
    ASSERT_THAT(runner, IsOk());
    group = runner->process_id();
    ASSERT_EQ(::kill(-group, 0), 0);
  }
  // The helper is reaped by init, soon.
  for (int i = 0; i < 200 && ::kill(-group, 0) == 0; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(::kill(-group, 0), -1);
}

std::pair<Channel, Channel> channel_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Channel(UniqueFd(ends[0])), Channel(UniqueFd(ends[1]))};
}

TEST(Frames, carry_arguments_of_every_kind_and_megabytes_of_tensors) {
  auto [left, right] = channel_pair();
  const std::vector<float> values(1'500'000, 0.25F);
  const std::vector<Value> arguments{Tensor::of_floats("", {3, 500'000}, values), std::int64_t{-7},
                                     2.5, true};
  Frame frame;
  frame.header = {{"type", "infer"}, {"arguments", encode_arguments(arguments, frame.payload)}};
  std::thread sender([&] { EXPECT_THAT(left.send(frame, no_deadline), IsOk()); });
  const auto received = right.receive(no_deadline);
  sender.join();
  ASSERT_THAT(received, IsOk());
  const auto decoded = decode_arguments(received->header["arguments"], received->payload);
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(std::get<Tensor>((*decoded)[0]).data, std::get<Tensor>(arguments[0]).data);
  EXPECT_EQ(std::get<std::int64_t>((*decoded)[1]), -7);
  EXPECT_EQ(std::get<double>((*decoded)[2]), 2.5);
  EXPECT_EQ(std::get<bool>((*decoded)[3]), true);
}

TEST(Frames, that_are_too_large_are_not_sent) {
  auto [left, right] = channel_pair();
  EXPECT_THAT(left.send({{{"type", std::string(maximum_frame_header, 'x')}}, {}}, no_deadline),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("larger")));
}

ProofReport report_of(double mean, double largest) {
  return {1, {{"velocity", mean, largest}}};
}

TEST(Proofs, hold_up_to_the_bound_and_no_further) {
  const std::array bound{Tolerance{"velocity", 10, 100}};
  EXPECT_THAT(check_tolerances(report_of(10, 100), bound), IsOk());
  EXPECT_THAT(check_tolerances(report_of(10.1, 1), bound),
              ErrorIs(ErrorCode::refused, HasSubstr("off by 10.1 on average")));
  EXPECT_THAT(check_tolerances(report_of(1, 101), bound),
              ErrorIs(ErrorCode::refused, HasSubstr("")));
  EXPECT_THAT(check_tolerances(report_of(std::nan(""), 1), bound),
              ErrorIs(ErrorCode::refused, HasSubstr("")));
  EXPECT_THAT(check_tolerances(report_of(1, 1), {}),
              ErrorIs(ErrorCode::refused, HasSubstr("no tolerance")));
}

TEST(Trials, never_skip_a_proof_in_silence) {
  Candidate candidate;
  candidate.name = "int8-qint8";
  TrialOptions options;
  options.runner = fake("exits");
  EXPECT_THAT(try_candidates({candidate}, options),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("neither a golden call")));
  candidate.tolerances = {{"velocity", 10, 100}};
  EXPECT_THAT(try_candidates({candidate}, options),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("'int8-qint8' has tolerances")));
}

TEST(Proofs, compare_in_double_and_refuse_what_cannot_be_compared) {
  const std::array<float, 4> golden{1, 2, 3, 4};
  const std::array<float, 4> shown{1, 2.5, 3, 2};
  const auto error =
      compare(Tensor::of_floats("", {2, 2}, shown), Tensor::of_floats("velocity", {2, 2}, golden));
  ASSERT_THAT(error, IsOk());
  EXPECT_DOUBLE_EQ(error->mean_abs_error, 0.625);
  EXPECT_DOUBLE_EQ(error->max_abs_error, 2);
  EXPECT_THAT(compare(Tensor::of_floats("", {4}, shown), Tensor::of_floats("v", {2, 2}, golden)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("[4]")));
  const std::array<float, 4> infinite{1, 2, std::numeric_limits<float>::infinity(), 4};
  EXPECT_THAT(
      compare(Tensor::of_floats("", {2, 2}, infinite), Tensor::of_floats("v", {2, 2}, golden)),
      ErrorIs(ErrorCode::invalid_data, HasSubstr("not finite at element 2")));
}

}  // namespace
}  // namespace outcrop::runtime
