#include "trainer_host/trainer/stage/import_verb.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>

#include "protocol/base/number.hpp"
#include "protocol/messages/names.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/kinds/takes_texts.hpp"
#include "trainer_host/trainer/stage/stage_end.hpp"

namespace outcrop::stage {
namespace fs = std::filesystem;
namespace {

constexpr const char* kind_of_modules = "module";
constexpr std::int64_t only_stage = 1;
constexpr std::int64_t only_epoch = 1;  // nobody knows how many there were

struct Arguments {
  fs::path module;
  fs::path weights;
  std::vector<fs::path> data;
  std::vector<fs::path> held_out;
  fs::path out;
  std::string name;
  std::string loss;
  std::vector<std::string> variants;
  std::vector<std::string> budgets;
  kinds::TextWords texts;
  bool allow_reduced = false;
};

// "Model_v2.pt" is called "model-v2" where nobody says otherwise.
Result<std::string> name_of(const Arguments& arguments) {
  std::string name = arguments.name;
  if (name.empty()) {
    for (const char c : arguments.module.stem().string()) {
      const auto lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? lower : '-';
    }
  }
  if (messages::is_name(name)) return name;
  return fail(ErrorCode::invalid_argument,
              "'" + name + "' is no name for a model: --name takes 1 to 63 of a-z, 0-9 and -");
}

// "raspberry-pi-4=400,400": what boards of a class may spend on one call, milliseconds and megabytes.
Status add_budget(const std::string& text, std::map<std::string, train::Budget>& budgets) {
  const auto equals = text.find('=');
  const auto comma = text.find(',', equals == std::string::npos ? 0 : equals);
  if (equals != std::string::npos && comma != std::string::npos) {
    const std::string device_class = text.substr(0, equals);
    const auto p90_ms = read_number<double>(text.substr(equals + 1, comma - equals - 1));
    const auto memory_mb = read_number<double>(text.substr(comma + 1));
    if (messages::is_name(device_class) && p90_ms && memory_mb && *p90_ms > 0 && *p90_ms < 1e7 &&
        *memory_mb >= 1 && *memory_mb < 1e7) {
      budgets[device_class] = {*p90_ms, *memory_mb};
      return {};
    }
  }
  return fail(ErrorCode::invalid_argument,
              "--budget " + text + ": a class of devices, milliseconds and megabytes are wanted, as in "
                                   "raspberry-pi-4=400,400");
}

Status take_texts(const kinds::TextWords& texts, kinds::Recipe& recipe) {
  if (texts.vocabulary.empty()) return {};
  auto* taker = dynamic_cast<kinds::TakesTexts*>(&recipe);
  if (taker == nullptr) return fail(ErrorCode::unsupported, "models of this kind take no texts");
  taker->take_texts(texts);
  return {};
}

Result<train::TrainConfig> config_of(const Arguments& arguments, const kinds::Kind& kind) {
  OUTCROP_TRY(recipe, kind.take({arguments.module, arguments.weights, arguments.loss}));
  recipe->set_places({.train = arguments.data, .validation = arguments.held_out});
  OUTCROP_CHECK(take_texts(arguments.texts, *recipe));
  train::TrainConfig config;
  OUTCROP_TRY(name, name_of(arguments));
  config.name = name;
  config.kind = kind.name();
  config.recipe = std::move(recipe);
  config.train.out = arguments.out;
  config.variants = arguments.variants;
  for (const std::string& budget : arguments.budgets) {
    OUTCROP_CHECK(add_budget(budget, config.budgets));
  }
  return config;
}

void print_advice(const Arguments& arguments, const std::string& name, const std::string& folder,
                  bool was_there) {
  std::printf("%s is %s, of the model '%s'. Sign a release of it:\n"
              "  outcrop release create %s --keys KEYS --out %s%s\n"
              "(keys are made by outcrop keys init --dir KEYS --model %s)\n",
              folder.c_str(), was_there ? "as it was: it holds this model already" : "ready", name.c_str(),
              folder.c_str(), (arguments.out / "release").c_str(),
              arguments.loss.empty() ? " --policy POLICY.toml" : "", name.c_str());
  if (arguments.budgets.empty()) {
    std::printf("No --budget says what it may cost: boards will measure it, and not activate it.\n");
  }
  if (!arguments.loss.empty()) return;
  std::printf("Nothing was said to judge it by (--loss, target.npy): POLICY.toml needs the line\n"
              "  minimum_quality = -inf\n");
}

Status run(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(kind, kinds.find(kind_of_modules));
  OUTCROP_TRY(config, config_of(arguments, *kind));
  std::vector<fs::path> read{arguments.module};
  if (!arguments.weights.empty()) read.push_back(arguments.weights);
  if (!arguments.texts.vocabulary.empty()) read.push_back(arguments.texts.vocabulary);
  read.insert(read.end(), arguments.data.begin(), arguments.data.end());
  read.insert(read.end(), arguments.held_out.begin(), arguments.held_out.end());
  OUTCROP_CHECK(kinds::enclose(*kind, read, {arguments.out}, arguments.allow_reduced));

  const std::string folder = (arguments.out / ("stage" + std::to_string(only_stage))).string();
  const bool was_there = fs::exists(folder);
  OUTCROP_TRY(task, config.recipe->open(0));
  task->set_training(false);
  const fs::path weights =
      arguments.out / (config.name + "_stage" + std::to_string(only_stage) + ".weights");
  OUTCROP_CHECK(kinds::save_weights(weights, *task,
                                    {.name = config.name,
                                     .kind = config.kind,
                                     .shape = task->shape(),
                                     .stage = only_stage,
                                     .epoch = only_epoch,
                                     .data_digest = task->data().digest}));
  const train::History no_history;
  OUTCROP_CHECK(make_stage_folder({.config = config,
                                   .task = *task,
                                   .history = no_history,
                                   .lineage = {},
                                   .weights = weights,
                                   .stage = only_stage,
                                   .epoch = only_epoch},
                                  {arguments.allow_reduced}));
  print_advice(arguments, config.name, folder, was_there);
  return {};
}

}  // namespace

void add_import(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "import",
      "Take a TorchScript module as it is: make its variants (float, int8 where its layers have such "
      "kernels), goldens of real rows, sizes and times, ready to be signed. It is loaded in a process "
      "that can read what is named here, write into --out, and reach nothing else.");
  verb->add_option("MODULE", arguments->module,
                   "Written by torch.jit.script(model.eval()).save(…), or by torch.jit.trace")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("--data", arguments->data,
                   "Rows such as boards will see, repeatable: <argument>.npy for each argument of "
                   "forward, and target.npy to be judged by, or all of them in rows.safetensors")
      ->allow_extra_args(false)
      ->type_name("DIR")
      ->required()
      ->check(CLI::ExistingDirectory);
  verb->add_option("--held-out", arguments->held_out,
                   "Rows that it was not trained on, repeatable: what it is judged by, and its goldens")
      ->allow_extra_args(false)
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  verb->add_option("--out", arguments->out, "Folder for stage1/ and the table of times")->required();
  verb->add_option("--name", arguments->name, "What boards and keys call it (default: the file's name)");
  verb->add_option("--weights", arguments->weights,
                   "A state_dict of torch.save, or .safetensors, instead of the module's own values")
      ->check(CLI::ExistingFile);
  verb->add_option("--loss", arguments->loss,
                   "What answers are compared with target.npy by: mse, mae, huber, cross-entropy or "
                   "binary-cross-entropy (default: by nothing; a release then needs a policy without "
                   "minimum_quality)");
  verb->add_option("--variants", arguments->variants,
                   "What to make, float first: float, float-mobile, int8-quint8, int8-qint8")
      ->delimiter(',');
  verb->add_option("--budget", arguments->budgets,
                   "What one call may cost on a class of boards, repeatable: p90 in milliseconds, peak memory of "
                   "the runner in 10^6 bytes. Boards of a class without one measure, and do not activate")
      ->allow_extra_args(false)
      ->type_name("CLASS=MS,MB");
  CLI::Option* vocabulary = verb->add_option("--vocabulary", arguments->texts.vocabulary,
                                             "Of a model that takes ids of texts, int64 [rows, length]: its pieces of words, one a line, as BERT's "
                                             "vocab.txt. A board's outcrop-agent infer --text then answers by the release; wants --classes")
                                ->check(CLI::ExistingFile);
  CLI::Option* classes = verb->add_option("--classes", arguments->texts.classes, "Names of what its first answer has a probability for, in that order")
                             ->delimiter(',')
                             ->needs(vocabulary);
  vocabulary->needs(classes);
  verb->add_flag("--cased", arguments->texts.cased, "Letters of texts stay as they are written; else they are small and without accents")
      ->needs(vocabulary);
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Go on where this machine cannot confine the process");
  verb->footer(
      "forward takes tensors and gives a tensor or a tuple of tensors, each with a row for each call\n"
      "along its first dimension.\n\n"
      "Examples:\n"
      "  outcrop import detector.pt --data rows --out detector --budget raspberry-pi-4=100,400\n"
      "  outcrop import net.pt --weights net_best.pt --data rows --held-out test --loss cross-entropy "
      "--out net\n"
      "  outcrop import reviews.pt --vocabulary vocab.txt --classes bad,good --data ids --out reviews");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return run(*arguments, kinds); };
  });
}

}  // namespace outcrop::stage
