#include "trainer_host/trainer/quantize/recommend_verb.hpp"

#include <cstdio>
#include <map>
#include <memory>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/quantize/quantized_model.hpp"
#include "trainer_host/trainer/quantize/recommend.hpp"

namespace outcrop::quantize {
namespace {

struct RecommendArguments {
  NamedModel model;
  std::string wish = "speed";
  bool allow_reduced = false;
};

const std::map<std::string, Wish> wishes{
    {"speed", Wish::speed}, {"size", Wish::size}, {"accuracy", Wish::accuracy}};

std::string folders_text(const std::vector<std::filesystem::path>& folders) {
  std::string text;
  for (const auto& folder : folders) text += " --calibration " + folder.string();
  return text;
}

Status recommend_for(const RecommendArguments& arguments, const kinds::Register& kinds) {
  OUTCROP_CHECK(enclose_named({arguments.model}, kinds, {}, {}, arguments.allow_reduced));
  OUTCROP_TRY(model, open_named(arguments.model, kinds));
  const Makeup makeup = makeup_of(kinds::export_of(*model.task));
  std::printf("%s: %.2f M weights, %.1f M multiply-adds a sample\n\n", model.name.c_str(),
              static_cast<double>(makeup.weights) / 1e6, static_cast<double>(makeup.multiply_adds) / 1e6);
  std::vector<std::string> methods;
  for (const Advice& one : recommend(makeup, wishes.at(arguments.wish))) {
    std::printf("  %-14s %s\n", one.method.c_str(), one.why.c_str());
    methods.push_back(one.method);
  }
  std::printf("\nTry them, and let a board measure:\n  outcrop quantize %s quantized --method %s%s\n",
              arguments.model.file.c_str(), join(methods, ",").c_str(),
              folders_text(arguments.model.calibration).c_str());
  return {};
}

}  // namespace

void add_recommend(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<RecommendArguments>();
  CLI::App* verb = app.add_subcommand("recommend",
                                      "Which ways to quantize to try first, by what a model is made of.");
  verb->add_option("MODEL", arguments->model.file, "TorchScript, <model>_stage<N>.weights, or a checkpoint")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("--calibration,--data", arguments->model.calibration,
                   "Rows such as boards will see, repeatable: the first one shows what runs how often")
      ->allow_extra_args(false)
      ->type_name("DIR")
      ->required();
  verb->add_option("--for", arguments->wish, "What matters most: speed, size or accuracy")
      ->capture_default_str()
      ->check(CLI::IsMember({"speed", "size", "accuracy"}));
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Go on where this machine cannot confine the process");
  verb->footer("Example:\n  outcrop recommend net.pt --calibration rows --for size");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return recommend_for(*arguments, kinds); };
  });
}

}  // namespace outcrop::quantize
