#include "agent/prove/layer_times.hpp"

#include <algorithm>

#include "agent/prove/golden_files.hpp"
#include "protocol/base/join.hpp"

namespace outcrop::agent {
namespace {

constexpr std::size_t watched_calls = 25;

class LayerTimer {
 public:
  LayerTimer(const TrialRequest& request, const std::vector<runtime::ProofCall>& goldens,
             const runtime::MeasurementLock& lock)
      : request_(request), goldens_(goldens), lock_(lock) {
    call_.method = goldens.front().method;
    call_.arguments = goldens.front().arguments;
    call_.maximum_calls = watched_calls;
    call_.maximum_time = request.config->measure_time;
  }

  Result<runtime::OperatorTimings> timed(const messages::Variant& variant) const {
    OUTCROP_TRY(blob, request_.slots->blob(variant.blob.sha256, variant.blob.size));
    OUTCROP_TRY(runner, runtime::Runner::start(runner_options(*request_.config)));
    OUTCROP_CHECK(runner.load(blob, load_request(variant, request_.config->threads)));
    OUTCROP_TRY(proof, runtime::prove(runner, goldens_));
    OUTCROP_CHECK(runtime::check_tolerances(proof, tolerances(variant)));
    runtime::OperatorTimings timings;
    for (std::size_t i = 0; i < std::max<std::size_t>(1, request_.config->measure_attempts); ++i) {
      if (request_.abandoned.stop_requested()) return fail(ErrorCode::interrupted, "nobody waits for it any more");
      OUTCROP_TRY(one, runner.time_operators(lock_, call_));
      if (one.validity.valid()) return one;
      timings = std::move(one);
    }
    return fail(ErrorCode::unsupported, join(timings.validity.void_because, "; "));
  }

 private:
  const TrialRequest& request_;
  const std::vector<runtime::ProofCall>& goldens_;
  const runtime::MeasurementLock& lock_;
  runtime::MeasureRequest call_;
};

}  // namespace

Result<std::vector<messages::VariantLayers>> time_layers(const TrialRequest& request) {
  OUTCROP_TRY(goldens, read_goldens(*request.slots, request.manifest));
  const auto stopped = [&] { return request.abandoned.stop_requested(); };
  OUTCROP_TRY(lock, runtime::MeasurementLock::acquire(request.config->measure_patience,
                                                      runtime::MeasurementLock::default_folders(), stopped));
  const LayerTimer timer(request, goldens, lock);
  std::vector<messages::VariantLayers> all;
  std::size_t left = messages::most_operators_told;
  for (const messages::Variant& variant : request.manifest.variants) {
    if (!request.slots->has(variant.blob.sha256)) continue;
    messages::VariantLayers told;
    told.name = variant.name;
    const auto timings = timer.timed(variant);
    if (!timings) {
      told.reason = messages::as_reason(timings.error().message());
    } else if (timings->operators.size() > left) {
      told.reason = "the variants before it have run so many operators that its own find no place in the message";
    } else {
      told.calls = timings->calls;
      for (const auto& one : timings->operators) told.operators.push_back({one.name.substr(0, 128), one.time});
      left -= told.operators.size();
    }
    all.push_back(std::move(told));
  }
  return all;
}

}  // namespace outcrop::agent
