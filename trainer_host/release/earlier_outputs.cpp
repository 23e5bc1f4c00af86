#include "trainer_host/release/earlier_outputs.hpp"

namespace outcrop::release {

std::map<std::string, OutputPolicy> earlier_outputs() {
  return {{"velocity", {"m/s", {1.5, 15.0}, {90.0, 1500.0}, {0.15, 15.0}}},
          {"seismic", {"pressure", {0.04, 0.4}, {1.0, 40.0}, {0.004, 0.4}}}};
}

}  // namespace outcrop::release
