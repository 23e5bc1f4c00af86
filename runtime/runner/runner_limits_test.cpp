// The limits of real runners: time, CPU time and memory, and those of a measurement.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner_fixture.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

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

TEST_F(Runners, that_use_up_their_cpu_time_are_reported_as_such) {
  hostile::write_endless(file("endless.ptl"), hostile::When::call);
  Runner runner = started();
  ASSERT_THAT(load_allowing_all(runner, blob_of(file("endless.ptl"))), IsOk());
  // The limit follows from the deadline; a test that waits for it would wait a minute.
  std::atomic<bool> ended = false;
  std::thread miser([&ended, process = runner.process_id()] {
    while (!ended) {
      rlimit limit{};
      if (::prlimit(process, RLIMIT_CPU, nullptr, &limit) == 0) {
        limit.rlim_cur = 1;
        ::prlimit(process, RLIMIT_CPU, &limit, nullptr);
      }
      std::this_thread::sleep_for(milliseconds(50));
    }
  });
  const auto outputs = runner.infer("forward", std::array{any_tensor()});
  ended = true;
  miser.join();
  EXPECT_THAT(outputs, ErrorIs(ErrorCode::timeout, HasSubstr("it used up its CPU time")));
}

// What a measurement of the small generator needs, with the limits of `request` or the defaults.
class Measurements : public Runners {
 protected:
  void SetUp() override {
    ASSERT_THAT(load_allowing_all(runner_, blob_of(models().path("qint8"))), IsOk());
  }
  static MeasureRequest limits(std::size_t calls, milliseconds time) {
    MeasureRequest request;
    request.maximum_calls = calls;
    request.maximum_time = time;
    return request;
  }
  Result<Measurement> measure(MeasureRequest request = {}) {
    OUTCROP_TRY(lock, MeasurementLock::acquire(milliseconds(0), {lock_folder_.path()}));
    request.method = "decode";
    request.arguments = {models().goldens.golden_inputs[0].row(0)};
    return runner_.measure(lock, request);
  }

  Runner runner_ = started();
  TemporaryFolder lock_folder_;
};

TEST_F(Measurements, end_after_a_hundred_calls_or_five_seconds_by_default) {
  EXPECT_EQ(MeasureRequest().maximum_time, milliseconds(5000));
  const auto measured = measure();
  ASSERT_THAT(measured, IsOk());
  EXPECT_EQ(measured->samples.size(), 100U);
}

TEST_F(Measurements, end_early_when_their_time_is_over) {
  constexpr std::size_t far_too_many = 1'000'000;
  const auto start = std::chrono::steady_clock::now();
  const auto measured = measure(limits(far_too_many, milliseconds(200)));
  const auto waited = std::chrono::steady_clock::now() - start;
  ASSERT_THAT(measured, IsOk());
  EXPECT_GT(measured->samples.size(), 1U);
  EXPECT_LT(measured->samples.size(), far_too_many);
  EXPECT_GE(waited, milliseconds(200));
  EXPECT_LT(waited, milliseconds(5000));
  // At least one call, however short the time.
  const auto hurried = measure(limits(far_too_many, milliseconds(0)));
  ASSERT_THAT(hurried, IsOk());
  EXPECT_EQ(hurried->samples.size(), 1U);
}

TEST_F(Measurements, leave_a_runner_that_serves_while_it_is_warm) {
  const auto measured = measure(limits(5, milliseconds(5000)));
  ASSERT_THAT(measured, IsOk());
  const int process = runner_.process_id();
  const auto proof =
      prove(runner_, models().goldens.proofs);
  ASSERT_THAT(proof, IsOk());
  EXPECT_LE(proof->outputs[0].mean_abs_error, 0.02 * 3000);
  EXPECT_EQ(runner_.process_id(), process);
  // None of those calls was a first one.
  const auto again = measure(limits(5, milliseconds(5000)));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->first, measured->first);
}

}  // namespace
}  // namespace outcrop::runtime
