#include "trainer_host/trainer/kinds/classifier/images.hpp"

#include <algorithm>
#include <cstdio>

#include "trainer_host/trainer/data/image_folder.hpp"

namespace outcrop::classifier {
namespace fs = std::filesystem;
namespace {

using data::ImageFolder;
using data::LabelledImages;

using Folders = std::vector<ImageFolder>;

Result<Folders> open_folders(const std::vector<fs::path>& paths) {
  Folders folders;
  for (const fs::path& path : paths) {
    OUTCROP_TRY(folder, ImageFolder::open(path));
    folders.push_back(std::move(folder));
  }
  return folders;
}

Result<LabelledImages> read_all(const std::vector<fs::path>& paths, const Folders& folders,
                                Result<LabelledImages> (*read)(const ImageFolder&)) {
  LabelledImages all;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    OUTCROP_TRY(images, read(folders[i]));
    if (const Status fits = all.append(images); !fits) {
      return fail(fits.error().context(paths[i].string()));
    }
  }
  return all;
}

Result<LabelledImages> to_train_on(const ImageFolder& folder) {
  return folder.read_training();
}
// Of a folder that is there to be held out.
Result<LabelledImages> to_judge_by(const ImageFolder& folder) {
  return folder.has_test() ? folder.read_test() : folder.read_training();
}
Result<LabelledImages> own_test(const ImageFolder& folder) {
  return folder.has_test() ? folder.read_test() : LabelledImages{};
}

Status check_has_training(const std::vector<fs::path>& paths, const Folders& folders) {
  for (std::size_t i = 0; i < folders.size(); ++i) {
    if (folders[i].has_training()) continue;
    return fail(ErrorCode::invalid_argument,
                "data.train: " + paths[i].string() +
                    " has images to test with and none to train on; it may stand in "
                    "data.validation");
  }
  return {};
}

std::vector<std::string> names_of(const LabelledImages& training,
                                  const std::vector<std::string>& names,
                                  const std::optional<ClassifierShape>& known) {
  if (known) return known->classes;
  if (!names.empty()) return names;
  if (!training.names.empty()) return training.names;
  std::vector<std::string> numbers;
  const int last = *std::max_element(training.labels.begin(), training.labels.end());
  for (int label = 0; label <= last; ++label) numbers.push_back(std::to_string(label));
  return numbers;
}

Status check_labels(const LabelledImages& images, std::size_t classes, const std::string& place) {
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (images.labels[i] < classes) continue;
    return fail(ErrorCode::invalid_data, place + ": image " + std::to_string(i) +
                                             " has the label " + std::to_string(images.labels[i]) +
                                             "; there are " + std::to_string(classes) +
                                             " classes, 0 to " + std::to_string(classes - 1));
  }
  return {};
}

Status check_every_class(const LabelledImages& training, const std::vector<std::string>& classes) {
  std::vector<std::size_t> counts(classes.size());
  for (const std::uint8_t label : training.labels) ++counts[label];
  for (std::size_t label = 0; label < counts.size(); ++label) {
    if (counts[label] > 0) continue;
    const std::string named =
        classes[label] == std::to_string(label) ? "" : " (" + classes[label] + ")";
    return fail(ErrorCode::invalid_data,
                "data.train: no image has the label " + std::to_string(label) + named +
                    "; labels are classes counted from 0, without gaps, and each needs images" +
                    (label == 0 ? " (do these begin with 1? subtract 1)" : ""));
  }
  return {};
}

Status check_same_size(const LabelledImages& training, const LabelledImages& held_out) {
  if (held_out.size() == 0 || held_out.shape == training.shape) return {};
  return fail(ErrorCode::invalid_data, "images that are held out are " + to_string(held_out.shape) +
                                           ", those to train on " + to_string(training.shape) +
                                           "; they must have one size");
}

Status check_known(const LabelledImages& training, const ClassifierShape& known) {
  if (training.shape == known.images) return {};
  return fail(ErrorCode::invalid_argument, "the weights are for images of " +
                                               to_string(known.images) + ", and these are " +
                                               to_string(training.shape));
}

std::string shared_of(std::size_t shared, std::size_t all) {
  return std::to_string(shared) + " of " + std::to_string(all);
}

// Leaves out of what is trained on what the data set tests with.
void leave_out(LabelledImages& training, const std::vector<bool>& shared) {
  LabelledImages kept{training.shape, {}, {}, training.names};
  for (std::size_t i = 0; i < training.size(); ++i) {
    if (shared[i]) continue;
    const auto image = training.image(i);
    kept.pixels.insert(kept.pixels.end(), image.begin(), image.end());
    kept.labels.push_back(training.labels[i]);
  }
  training = std::move(kept);
}

Status keep_apart(const kinds::DataPlaces& places, LabelledImages& training,
                  const LabelledImages& held_out, kinds::DataSummary& summary) {
  const auto count = [](const std::vector<bool>& found) {
    return static_cast<std::size_t>(std::count(found.begin(), found.end(), true));
  };
  const std::size_t shared = count(data::found_in(held_out, training));
  if (places.only_scored) summary.shared = shared;
  if (shared == 0 || places.only_scored) return {};
  const std::string says = shared_of(shared, held_out.size());
  if (!places.validation.empty()) {
    return fail(ErrorCode::invalid_argument,
                "data.validation: " + says +
                    " of its images are among those of data.train, and a score on what was trained "
                    "on says nothing; name images that training does not see, or keep some of "
                    "data.train apart by held_out");
  }
  if (places.held_out > 0) {
    return fail(ErrorCode::invalid_argument,
                "data.train holds images twice: " + says +
                    " held out at its end are trained on as well, and a score on what was trained "
                    "on says nothing; name folders without repeated images");
  }
  const auto in_training = data::found_in(training, held_out);
  const std::size_t before = training.size();
  leave_out(training, in_training);
  std::fprintf(stderr,
               "note: %s images to train on are among the test images of data.train as well, and "
               "are left out\n",
               shared_of(before - training.size(), before).c_str());
  return {};
}

Status check_enough(std::size_t images, std::size_t held_out) {
  if (images >= held_out + 2) return {};
  return fail(ErrorCode::invalid_argument,
              "data.train holds " + std::to_string(images) + " images, of which " +
                  std::to_string(held_out) +
                  " are held out: at least 2 must be left for training");
}

}  // namespace

Result<SplitImages> open_images(const kinds::DataPlaces& places,
                                const std::vector<std::string>& names,
                                const std::optional<ClassifierShape>& known) {
  if (places.train.empty()) {
    return fail(ErrorCode::invalid_argument,
                "what a classifier is compared with comes from the training data: name them, too "
                "(--train)");
  }
  OUTCROP_TRY(train, open_folders(places.train));
  OUTCROP_TRY(validation, open_folders(places.validation));
  OUTCROP_CHECK(check_has_training(places.train, train));
  SplitImages split;
  OUTCROP_TRY(training, read_all(places.train, train, to_train_on));
  split.training = std::move(training);
  split.summary.digest = split.training.digest();
  const auto held_out = static_cast<std::size_t>(places.held_out);
  OUTCROP_CHECK(check_enough(split.training.size(), held_out));
  if (held_out > 0) {
    split.held_out = split.training.split_at(split.training.size() - held_out);
  } else {
    const bool own = places.validation.empty();
    OUTCROP_TRY(others, own ? read_all(places.train, train, own_test)
                            : read_all(places.validation, validation, to_judge_by));
    split.held_out = std::move(others);
    split.summary.held_out_digest = split.held_out.digest();
  }
  OUTCROP_CHECK(check_same_size(split.training, split.held_out));
  split.classes = names_of(split.training, names, known);
  OUTCROP_CHECK(check_labels(split.training, split.classes.size(), "data.train"));
  OUTCROP_CHECK(check_labels(split.held_out, split.classes.size(), "the images held out"));
  if (known) {
    OUTCROP_CHECK(check_known(split.training, *known));
  } else {
    OUTCROP_CHECK(check_every_class(split.training, split.classes));
  }
  OUTCROP_CHECK(keep_apart(places, split.training, split.held_out, split.summary));
  OUTCROP_CHECK(check_enough(split.training.size(), 0));
  split.summary.training = split.training.size();
  split.summary.held_out = split.held_out.size();
  return split;
}

}  // namespace outcrop::classifier
