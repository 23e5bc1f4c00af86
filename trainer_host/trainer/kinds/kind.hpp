#pragma once

#include <torch/script.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/quality.hpp"
#include "trainer_host/trainer/kinds/conditioning.hpp"
#include "trainer_host/trainer/kinds/evaluation.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::kinds {

// What training, quantization and release know of a model. docs/kinds.md shows how to add a kind.

// A network, by the name under which its tensors are kept: "encoder", "map_decoder".
struct Part {
  std::string name;
  torch::jit::Module network;
};

// Which sample comes when, and whether it is shown mirrored, where the kind mirrors.
struct Draw {
  std::size_t sample = 0;
  bool mirrored = false;
};

// The samples of a task.
struct DataSummary {
  std::size_t training = 0;
  std::size_t held_out = 0;
  std::string digest;           // SHA-256 in hex of what training samples come from
  std::string held_out_digest;  // of data of their own that held-out samples come from; "" without
  // Held-out samples that are trained on as well: none, but where `only_scored` allows it.
  std::size_t shared = 0;
};

// Which tensors a stage trains. The rest stays as it is: where weights are averaged and the stage before trained them,
// as their average is.
struct Phase {
  struct Trained {
    std::string name;  // as in state_of()
    torch::Tensor tensor;
    double rate = 1.0;  // factor on the learning rate
  };
  std::string name;  // "whole"; the optimizer begins anew where the next stage has another one
  std::vector<Trained> trained;
};

// A column of training.csv, and its curve in loss.png.
struct Column {
  enum class Meaning { loss, held_out_loss, score };
  std::string name;   // "map_loss"; a held-out loss is "held_out_" and the loss's name
  std::string label;  // "maps"
  Meaning meaning = Meaning::loss;
};

// The loss of some samples: what is minimized, and its parts by the columns that are losses, in
// their order; nothing for one that the phase does not have.
struct Loss {
  torch::Tensor total;
  std::vector<std::optional<double>> parts;
};

// Where data lie, for every kind: [data] of the configuration.
struct DataPlaces {
  std::vector<std::filesystem::path> train;         // in their order
  std::vector<std::filesystem::path> validation{};  // held out; or
  std::int64_t held_out = 0;                        // so many samples at the end of `train`
  // A trained model is scored on `validation`; nothing will be trained. `train` may be empty, and
  // samples of both are counted, not refused.
  bool only_scored = false;
};

// A model with its data, as it is trained. One thread at a time; LibTorch's exceptions come through.
class Task {
 public:
  virtual ~Task() = default;

  // ---- what is kept: weights and checkpoints hold every parameter and buffer of every part
  [[nodiscard]] virtual std::vector<Part> parts() const = 0;
  // The networks' shapes as a JSON object: with it, Kind::recipe() makes them again.
  [[nodiscard]] virtual std::string shape() const = 0;

  // ---- training
  [[nodiscard]] virtual const DataSummary& data() const = 0;
  [[nodiscard]] virtual Phase phase(std::int64_t stage) const = 0;
  [[nodiscard]] virtual std::vector<Column> columns() const = 0;
  // What the axis of the losses is called: "loss (cross-entropy)".
  [[nodiscard]] virtual std::string loss_unit() const { return "loss"; }
  // Batch statistics (and dropout) on, or off.
  virtual void set_training(bool on) = 0;
  // Of training samples. The caller differentiates `total`.
  [[nodiscard]] virtual Loss loss(const Phase& phase, std::span<const Draw> draws) = 0;
  // From now on the part of that name is trained and scored through another form of it, or, without one, by itself again;
  // false where this kind has no way to. A kind that can be trained for int8 has.
  [[nodiscard]] virtual bool train_through(const std::string& part, std::optional<models::OtherForm> form);
  // Where numbers first stop being finite for these samples: inputs and outputs of layers ("the
  // output of decoder.mix3"). Weights and gradients are looked at by the caller.
  [[nodiscard]] virtual std::optional<std::string> non_finite_place(
      std::span<const Draw> draws) = 0;
  // Of held-out samples, after each epoch, by the columns that are no losses of training, in their
  // order; nothing where none are held out or a figure is not finite. As many samples as take a small
  // share of an epoch's time.
  [[nodiscard]] virtual std::vector<std::optional<double>> score_held_out() = 0;

  // ---- the end of a stage
  // What is fitted to the trained networks instead of trained. Then fitted() is kept with weights.
  virtual void fit() {}
  [[nodiscard]] virtual models::NamedTensors fitted() const { return {}; }
  // In evaluation mode, fitted.
  [[nodiscard]] virtual Export make_export() = 0;
  // How good a variant is on held-out samples (training ones, where none are held out), beside what
  // one that learned nothing reaches. diverged where a figure is not finite.
  [[nodiscard]] virtual Result<messages::Quality> judge(models::CallableModel& model) = 0;
  // All of what can be said of variants on held-out samples, for people: by default the metrics of
  // judge(), and no picture.
  [[nodiscard]] virtual Result<Evaluation> evaluate(const EvaluationRequest& request);
  // Samples under conditions (`outcrop condition`). unsupported by kinds that draw none from noise, and where nothing is
  // fitted yet; invalid_argument where the conditions are none of this model's.
  [[nodiscard]] virtual Result<Conditioned> condition(const Conditions& conditions);
  // Takes over what weights hold besides the parts. invalid_data where it does not fit.
  [[nodiscard]] virtual Status set_fitted(const models::NamedTensors& tensors);

  // ---- quantization-aware training: by part, what it chose for each tensor in int8 (ExportPart). Empty where the weights
  // were not trained so. Kept in weights and checkpoints beside the tensors of the parts.
  [[nodiscard]] const std::map<std::string, models::NamedTensors>& trained_ranges() const { return trained_ranges_; }
  void set_trained_ranges(std::map<std::string, models::NamedTensors> ranges) { trained_ranges_ = std::move(ranges); }

 private:
  std::map<std::string, models::NamedTensors> trained_ranges_;
};

// What a configuration says of one model and its training data.
class Recipe {
 public:
  virtual ~Recipe() = default;
  // What decides weights besides the loop, one "key = value" a line: "model.latent = 128".
  [[nodiscard]] virtual std::string fingerprint() const = 0;
  [[nodiscard]] virtual const DataPlaces& places() const = 0;
  virtual void set_places(DataPlaces places) = 0;
  // Files besides data and weights that it is made of, and that belong to the user.
  [[nodiscard]] virtual std::vector<std::filesystem::path> brought() const { return {}; }
  // Whether samples are mirrored at random.
  [[nodiscard]] virtual bool mirrors() const { return false; }
  // The networks with random weights (the same from the same seed), and the data, all of them
  // checked. invalid_argument and invalid_data say what is wrong with the data.
  [[nodiscard]] virtual Result<std::unique_ptr<Task>> open(std::uint64_t seed) const = 0;
};

// The tables of a configuration that a kind shares with the loop: it asks for its own keys.
struct ConfigTables {
  platform::TomlReader::Table& model;
  platform::TomlReader::Table& data;
  platform::TomlReader::Table& train;
};

// data.train, and data.validation or data.held_out.
[[nodiscard]] DataPlaces read_places(platform::TomlReader::Table& data);

// A model that was trained elsewhere (`outcrop import`).
struct Brought {
  std::filesystem::path file;
  std::filesystem::path weights;  // beside it; or empty
  std::string loss;               // what it is judged by; or empty
};

// A kind of models. Without state: one object serves all.
class Kind {
 public:
  virtual ~Kind() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "generator"
  // What it is for, and its part of `outcrop train --help`.
  [[nodiscard]] virtual std::string_view help() const = 0;
  // Whether a model of it runs what others wrote, as it is opened already: a program then opens it
  // after it has given up all but the folders that it was told (foreign_code.hpp).
  [[nodiscard]] virtual bool made_by_others() const { return false; }
  // What is wrong is kept by the reader; the recipe then means nothing.
  [[nodiscard]] virtual std::unique_ptr<Recipe> read(ConfigTables tables) const = 0;
  // Of weights, by what their task's shape() said; without places. invalid_data where `shape`
  // says nothing that this kind has.
  [[nodiscard]] virtual Result<std::unique_ptr<Recipe>> recipe(const std::string& shape) const = 0;
  // Of what somebody brings, to be shipped as it is; without places. unsupported by kinds that make
  // their networks themselves; invalid_argument where `brought` says something else than they know.
  [[nodiscard]] virtual Result<std::unique_ptr<Recipe>> take(const Brought& brought) const;
};

// Parameters and buffers of all parts, named "encoder.down1.weight": the tensors themselves.
[[nodiscard]] models::NamedTensors state_of(const Task& task);

// make_export(), with what was trained for int8.
[[nodiscard]] Export export_of(Task& task);

// The task's trained ranges as files have them, named "qat.<part>.<tensor>"; and those of a file.
[[nodiscard]] models::NamedTensors ranges_of(const Task& task);
void take_ranges(const models::NamedTensors& tensors, Task& task);

// Writes pure weights, with what is fitted.
[[nodiscard]] Status save_weights(const std::filesystem::path& path, const Task& task,
                                  const models::ModelDescription& description);
// What a checkpoint calls the moving average of a tensor: this and the tensor's name.
inline constexpr std::string_view averaged_prefix = "average.";
// The tensors of a file, by name: where a checkpoint has the average of one, that.
[[nodiscard]] models::NamedTensors weights_in(const models::ModelFile& file);
// Copies weights, or the weights inside a checkpoint (averaged ones where it has them), into a task of
// the same shape, and what is fitted where the file has it; else fits. In evaluation mode. invalid_data
// where they do not fit; invalid_argument where something is to be fitted and there are no training
// samples.
[[nodiscard]] Status take_weights(const models::ModelFile& file, Task& task);

// A trained model of a file, with its data.
struct TrainedTask {
  models::ModelDescription description;
  std::unique_ptr<Task> task;
};

class Register;
// Weights, or the weights inside a checkpoint, with data that lie at `places`. Errors name the file;
// those of the data are Recipe::open's.
[[nodiscard]] Result<TrainedTask> open_trained(const std::filesystem::path& weights,
                                               const Register& kinds, DataPlaces places);

// Those of its parameters that can be trained, at the learning rate itself.
[[nodiscard]] Phase whole(const Task& task);

}  // namespace outcrop::kinds
