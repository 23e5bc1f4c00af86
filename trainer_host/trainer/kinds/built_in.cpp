#include "trainer_host/trainer/kinds/classifier/classifier_kind.hpp"
#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"
#include "trainer_host/trainer/kinds/module/module_kind.hpp"
#include "trainer_host/trainer/kinds/register.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_kind.hpp"
#include "trainer_host/trainer/kinds/text/text_kind.hpp"

namespace outcrop::kinds {

Register built_in() {
  Register kinds;
  kinds.add(generator::make_kind());
  kinds.add(segmentation::make_kind());
  kinds.add(classifier::make_kind());
  kinds.add(user_module::make_kind());
  kinds.add(text::make_kind());
  return kinds;
}

}  // namespace outcrop::kinds
