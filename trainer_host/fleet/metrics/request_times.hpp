#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "trainer_host/fleet/metrics/exposition.hpp"

namespace outcrop::fleet {

// How long answers took, by route. `route` is a template of the route table, "/v1/devices/{name}", "page" or "other".
class RequestTimes {
 public:
  void add(const std::string& route, const std::string& method, int status,
           std::chrono::nanoseconds took);
  void expose(Exposition& exposition) const;

 private:
  struct Times {
    std::vector<std::uint64_t> counts;
    double sum = 0;
  };
  std::map<std::tuple<std::string, std::string, std::string>, Times> times_;  // route, method, "2xx"
};

}  // namespace outcrop::fleet
