#include "trainer_host/trainer/kinds/text/text_kind.hpp"

#include "trainer_host/trainer/kinds/text/text_task.hpp"

namespace outcrop::text {
namespace {

constexpr std::int64_t most_layers = 24;
constexpr std::int64_t largest_width = 1024;
constexpr std::int64_t largest_hidden = 4096;
constexpr std::int64_t longest = 512;  // pieces
constexpr std::int64_t fewest_pieces = 32;
constexpr std::int64_t most_pieces = 50'000;
constexpr std::size_t most_ignored = 64;
constexpr double smallest_epsilon = 1e-20;

constexpr const char* help_text = R"(kind = "text": which of some classes a text is of
  [model]
  layers = 2                # of an encoder as BERT's
  width = 128               # values of each piece
  heads = 4                 # of attention; they share the width
  hidden = 512              # values between the two linear layers of each layer
  length = 128              # pieces of a text that are looked at; what is behind them is cut off
  pooling = "mean"          # what the classes are told by: the mean of all pieces, or "first"
  pieces = 8000             # so many are learned from the texts to train on; or
  #vocabulary = "vocab.txt" # those of such a file, as BERT's: a piece a line, [PAD], [UNK], [CLS], [SEP] among them
  cased = false             # true: letters as they are written; else small, without accents
  activation = "relu"       # between the two linear layers of each layer, or "gelu"
  epsilon = 1e-5            # of layer norms
  #weights = "model.safetensors" # begin with a BERT's, by Hugging Face's names: the sizes above are then theirs, the vocabulary is
                            # the vocab.txt beside them, and config.json there says the rest; docs/text.md
  [data]
  train = "texts"           # a folder, or ["a", "b.tsv"]: a folder with a folder for each class, full of .txt files;
                            # one with such folders "train" and "test" (aclImdb); or a .tsv or .csv file
                            # With neither held_out nor validation, what is there to test with is held out.
                            # held_out takes so many at random, the same each time.
  text_column = "text"      # headings of these files
  label_column = "label"
  #ignore = ["unsup"]       # folders that are no class
  [train]
  hidden_words = 0.1        # 0 to 0.9: share of the pieces of each text that training does not show
  frozen_layers = 0         # so many of the lowest layers, and the embeddings below them, stay as they are)";

std::optional<std::int64_t> size_where_said(platform::TomlReader::Table& model, const char* key, std::int64_t largest) {
  if (!model.has(key)) return std::nullopt;
  return model.integer(key, std::nullopt, 1, largest);
}

WantedEncoder read_encoder(platform::TomlReader::Table& model) {
  WantedEncoder encoder;
  encoder.layers = size_where_said(model, "layers", most_layers);
  encoder.width = size_where_said(model, "width", largest_width);
  encoder.heads = size_where_said(model, "heads", largest_width);
  encoder.hidden = size_where_said(model, "hidden", largest_hidden);
  encoder.length = model.integer("length", encoder.length, 2, longest);
  if (model.has("epsilon")) encoder.epsilon = model.number("epsilon", std::nullopt, smallest_epsilon, largest_epsilon);
  const auto pooling = pooling_from(model.text("pooling", name_of(encoder.pooling)));
  if (!pooling) model.refuse("pooling", pooling.error().message());
  encoder.pooling = pooling.value_or(encoder.pooling);
  if (!model.has("activation")) return encoder;
  const auto activation = activation_from(model.text("activation", std::nullopt));
  if (!activation) model.refuse("activation", activation.error().message());
  encoder.activation = activation.value_or(Activation::relu);
  return encoder;
}

class TextKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "text"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<TextRecipe>();
    auto& [model, data, train] = tables;
    recipe->encoder = read_encoder(model);
    recipe->weights = model.path("weights", std::filesystem::path());
    if (recipe->weights.empty()) {
      if (const Status fits = check_shape(shape_of(recipe->encoder)); !fits) model.refuse("heads", fits.error().message());
    }
    if (model.has("cased")) recipe->letters = model.boolean("cased", false) ? Letters::as_written : Letters::lowered;
    if ((model.has("vocabulary") || model.has("weights")) && model.has("pieces")) {
      model.refuse("pieces", "the vocabulary is in a file, and says how many it has; leave one of both out");
    }
    recipe->vocabulary = model.path("vocabulary", std::filesystem::path());
    recipe->pieces = model.integer("pieces", recipe->pieces, fewest_pieces, most_pieces);
    recipe->data = kinds::read_places(data);
    recipe->columns.text = data.text("text_column", recipe->columns.text);
    recipe->columns.label = data.text("label_column", recipe->columns.label);
    recipe->columns.ignored = data.texts("ignore", recipe->columns.ignored, most_ignored);
    recipe->hidden_words = train.number("hidden_words", recipe->hidden_words, 0.0, 0.9);
    recipe->frozen_layers = train.integer("frozen_layers", recipe->frozen_layers, 0, most_layers);
    return recipe;
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(const std::string& shape) const override {
    OUTCROP_TRY(known, shape_from_json(shape));
    auto recipe = std::make_unique<TextRecipe>();
    recipe->known = std::move(known);
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }
};

}  // namespace

std::unique_ptr<const kinds::Kind> make_kind() {
  return std::make_unique<TextKind>();
}

}  // namespace outcrop::text
