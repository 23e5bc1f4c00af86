#include "trainer_host/trainer/quantize/mobile_bytes.hpp"

#include <sstream>
#include <utility>

#include "trainer_host/trainer/quantize/static_quantization.hpp"
#include "trainer_host/trainer/quantize/storage/with_stored.hpp"

namespace outcrop::quantize {

// Written through memory: the name of a file would end up in its bytes.
std::string mobile_bytes(torch::jit::Module model) {
  std::ostringstream out;
  torch::jit::Module last = reload(model);
  model = torch::jit::Module();
  drop_codes_at_load(last);  // boards hold values alone
  last._save_for_mobile(out);
  return std::move(out).str();
}

}  // namespace outcrop::quantize
