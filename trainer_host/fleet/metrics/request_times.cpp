#include "trainer_host/fleet/metrics/request_times.hpp"

namespace outcrop::fleet {
namespace {

const std::vector<double>& time_bounds() {
  static const std::vector<double> bounds{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5};
  return bounds;
}

// Whatever a peer calls its method, it is one of these.
std::string known_method(const std::string& method) {
  return method == "GET" || method == "POST" || method == "PUT" || method == "DELETE" ? method
                                                                                      : "other";
}

}  // namespace

void RequestTimes::add(const std::string& route, const std::string& method, int status,
                       std::chrono::nanoseconds took) {
  Times& times = times_[{route, known_method(method), std::to_string(status / 100) + "xx"}];
  times.counts.resize(time_bounds().size() + 1);
  const double seconds = std::chrono::duration<double>(took).count();
  std::size_t bucket = 0;
  while (bucket < time_bounds().size() && seconds > time_bounds()[bucket]) ++bucket;
  ++times.counts[bucket];
  times.sum += seconds;
}

void RequestTimes::expose(Exposition& exposition) const {
  exposition.family("outcrop_http_request_duration_seconds", "histogram", "seconds",
                    "How long outcropd took for an answer.");
  for (const auto& [key, times] : times_) {
    const auto& [route, method, code] = key;
    exposition.histogram({{"route", route}, {"method", method}, {"code", code}}, time_bounds(),
                         times.counts, times.sum);
  }
}

}  // namespace outcrop::fleet
