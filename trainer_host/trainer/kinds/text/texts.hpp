#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/kinds/text/labelled_texts.hpp"
#include "trainer_host/trainer/kinds/text/text_source.hpp"

namespace outcrop::text {

// What a model of texts is trained on and what it is judged by.
struct SplitTexts {
  LabelledTexts training;
  LabelledTexts held_out;            // may be none
  std::vector<std::string> classes;  // sorted
  kinds::DataSummary summary;
};

// Reads what the configuration names (text_source.hpp). Trained on is what the sources of `train` have to train on, each text
// once, mixed. Held out are so many of these; or what the sources of `validation` have to test with, or else to train on;
// or, without either, what the sources of `train` have to test with. `known` are the classes that weights were made for.
//
// No held-out text is trained on. Where data.validation shares any, that is refused with the count and a place; where a data
// set's own test texts do, they are left out of what is trained on, and it is said how many.
// invalid_argument and invalid_data name what is wrong: fewer than two classes, a class with nothing to train on, a class
// that only held-out texts have, or that the weights do not know.
[[nodiscard]] Result<SplitTexts> open_texts(const kinds::DataPlaces& places, const TextColumns& columns,
                                            const std::vector<std::string>& known);

}  // namespace outcrop::text
