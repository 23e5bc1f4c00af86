#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/labelled_images.hpp"
#include "trainer_host/trainer/kinds/classifier/network.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::classifier {

// What a classifier is trained on and what it is judged by.
struct SplitImages {
  data::LabelledImages training;
  data::LabelledImages held_out;  // may be none
  std::vector<std::string> classes;  // a name each
  kinds::DataSummary summary;
};

// Reads the folders of the configuration (data/image_folder.hpp). Trained on is what they have to train
// on. Held out is what the folders of `validation` have to test with, or else to train on; without
// validation and held_out, what the folders of `train` have to test with. `names` are those of the
// configuration, or none. `known` is what weights were made for: images and labels must fit it.
//
// No held-out image is trained on. Where data.validation or held_out shares any, that is refused with
// the count; where a data set's own test images do, they are left out of what is trained on, and it is
// said how many: who uses a data set cannot change it.
// invalid_argument and invalid_data name what is wrong: fewer than two images to train on, sizes that
// differ, a label beyond the classes, a class without an image.
[[nodiscard]] Result<SplitImages> open_images(const kinds::DataPlaces& places,
                                              const std::vector<std::string>& names,
                                              const std::optional<ClassifierShape>& known);

}  // namespace outcrop::classifier
