#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::kinds {

Register built_in() {
  Register kinds;
  kinds.add(generator::make_kind());
  return kinds;
}

}  // namespace outcrop::kinds
