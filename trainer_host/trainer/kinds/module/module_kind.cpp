#include "trainer_host/trainer/kinds/module/module_kind.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/base64.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/kinds/module/module_task.hpp"
#include "trainer_host/trainer/kinds/module/values.hpp"
#include "trainer_host/trainer/kinds/module/wanted_shape.hpp"

namespace outcrop::user_module {
namespace {

constexpr ByteCount largest_module = ByteCount::mib(16 << 10);

constexpr const char* help_text = R"(kind = "module": a TorchScript module of yours (torch.jit.script or torch.jit.trace)
  [model]
  module = "model.pt"       # forward takes tensors and gives a tensor or a tuple of them; the first
                            # dimension of each is rows
  #weights = "w.pt"         # a state_dict or .safetensors to begin with, instead of the module's own
  [data]
  train = "rows"            # a folder, or ["a", "b"]: <argument>.npy for each argument of forward, and
                            # target.npy for what its first output should be; or all in rows.safetensors
  [train]
  loss = "mse"              # or mae, huber, cross-entropy (logits, int64 classes),
                            # binary-cross-entropy (logits)
  It is trained in a process that can read and write nothing but what is named here, and reach no
  network: a release is signed afterwards, by outcrop release create.)";

// The text that tells two files apart; "" where one cannot be read, which is said when it is opened.
std::string digest_text(const std::filesystem::path& file) {
  const auto digest = trust::sha256_file(file);
  return digest ? digest->hex() : std::string();
}

class ModuleKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "module"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }
  [[nodiscard]] bool made_by_others() const override { return true; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<ModuleRecipe>();
    auto& [model, data, train] = tables;
    recipe->file = model.path("module", std::nullopt);
    if (model.has("weights")) recipe->values = model.path("weights", std::nullopt);
    recipe->data = kinds::read_places(data);
    auto objective = Objective::named(train.text("loss", "mse"));
    if (!objective) train.refuse("loss", objective.error().message());
    recipe->objective = objective ? *objective : Objective();
    recipe->digests = digest_text(recipe->file);
    if (!recipe->values.empty()) recipe->digests += " " + digest_text(recipe->values);
    return recipe;
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(
      const std::string& shape) const override {
    auto recipe = std::make_unique<ModuleRecipe>();
    try {
      const auto json = nlohmann::json::parse(shape);
      OUTCROP_TRY(code, trust::from_base64(json.at("code").get<std::string>()));
      recipe->code.assign(reinterpret_cast<const char*>(code.data()), code.size());
      const auto loss = json.at("loss").get<std::string>();
      recipe->trained = false;
      if (!loss.empty()) {
        OUTCROP_TRY(objective, Objective::named(loss));
        recipe->objective = objective;
      }
    } catch (const std::exception& error) {
      return fail(ErrorCode::invalid_data, std::string("it does not describe a module: ") + error.what());
    }
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> take(
      const kinds::Brought& brought) const override {
    auto recipe = std::make_unique<ModuleRecipe>();
    recipe->file = brought.file;
    recipe->values = brought.weights;
    recipe->trained = false;
    if (!brought.loss.empty()) {
      OUTCROP_TRY(objective, Objective::named(brought.loss));
      recipe->objective = objective;
    }
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }
};

Status check_trainable(const ForeignModule& foreign) {
  for (const auto& parameter : foreign.module.named_parameters()) {
    if (parameter.value.requires_grad()) return {};
  }
  return fail(ErrorCode::unsupported,
              "the module has no parameter that can be trained: a frozen one (torch.jit.freeze) keeps "
              "its weights as constants, and can be shipped by outcrop import");
}

Status check_mode(const ForeignModule& foreign) {
  const auto place = in_training_mode(foreign.module);
  if (!place) return {};
  return fail(ErrorCode::unsupported,
              (place->empty() ? std::string("the module") : "'" + *place + "'") +
                  " is in training mode, in which dropout and batch norms answer otherwise; call "
                  "model.eval() in Python before it is scripted and saved");
}

}  // namespace

std::unique_ptr<const kinds::Kind> make_kind() {
  return std::make_unique<ModuleKind>();
}

std::string ModuleRecipe::fingerprint() const {
  return "model.module = " + digests + "\ntrain.loss = " + (objective ? objective->name() : "") + "\n";
}

std::vector<std::filesystem::path> ModuleRecipe::brought() const {
  std::vector<std::filesystem::path> files;
  if (!file.empty()) files.push_back(file);
  if (!values.empty()) files.push_back(values);
  if (texts) files.push_back(texts->vocabulary);
  return files;
}

Result<std::unique_ptr<kinds::Task>> ModuleRecipe::open(std::uint64_t) const {
  ForeignModule foreign;
  if (file.empty()) {
    OUTCROP_TRY(known, with_room_for_values(as_bytes(code)));
    foreign = std::move(known);
  } else {
    OUTCROP_TRY(bytes, read_file(file, largest_module));
    OUTCROP_TRY(loaded, load_foreign(bytes, file.string()));
    foreign = std::move(loaded);
    if (!values.empty()) OUTCROP_CHECK(take_values(values, foreign.module));
    if (trained) OUTCROP_CHECK(check_trainable(foreign));
    if (!trained) OUTCROP_CHECK(check_mode(foreign));
  }
  OUTCROP_TRY(rows, open_rows(data, foreign.arguments));
  // Weights put their values into it later: what it answers by now means nothing.
  const Rows& some = rows.training.size() > 0 ? rows.training : rows.held_out;
  foreign.module.eval();
  if (!file.empty()) {
    for (const std::size_t count : {1, 2}) {
      const Rows asked = some.slice(0, count);
      if (asked.size() < count) continue;
      auto answered = answer_checked(foreign, asked.inputs);
      if (!answered && answered.error().code() == ErrorCode::invalid_data) {
        const auto& folders = data.train.empty() ? data.validation : data.train;
        return fail(ErrorCode::invalid_data, shapes_in_words(foreign, some, folders.front()) + ": " +
                                                 answered.error().message());
      }
      OUTCROP_TRY(outputs, std::move(answered));
      for (const Rows* all : {&rows.training, &rows.held_out}) {
        if (objective && all->has_target() && all->size() > 0) {
          OUTCROP_CHECK(objective->check(outputs.front(), all->target));
        }
      }
    }
  }
  if (trained && !some.has_target()) {
    return fail(ErrorCode::not_found, "data.train has no target.npy, which says what is to be learned");
  }
  std::optional<messages::TextInput> text;
  if (texts) {
    OUTCROP_TRY(told, text_input_of(*texts, foreign, some));
    text = std::move(told);
  }
  std::string kept = code.empty() ? without_values(foreign.module) : code;
  return std::unique_ptr<kinds::Task>(std::make_unique<ModuleTask>(
      *this, std::move(foreign), std::move(kept), std::move(rows), std::move(text)));
}

}  // namespace outcrop::user_module
