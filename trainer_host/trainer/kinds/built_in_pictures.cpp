#include "trainer_host/trainer/kinds/generator/pictures/sample_picture.hpp"
#include "trainer_host/trainer/kinds/sample_picture.hpp"
#include "trainer_host/trainer/kinds/segmentation/class_picture.hpp"

namespace outcrop::kinds {

std::vector<SamplePicture> built_in_pictures() {
  return {generator::sample_picture(), segmentation::sample_picture()};
}

}  // namespace outcrop::kinds
