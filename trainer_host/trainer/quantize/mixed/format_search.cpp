#include "trainer_host/trainer/quantize/mixed/format_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <set>
#include <utility>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/corrections/corrected.hpp"
#include "trainer_host/trainer/quantize/corrections/equalization.hpp"
#include "trainer_host/trainer/quantize/goldens.hpp"
#include "trainer_host/trainer/quantize/mixed/board_layers.hpp"
#include "trainer_host/trainer/quantize/mixed/judged_rows.hpp"
#include "trainer_host/trainer/quantize/mixed/layer_times.hpp"
#include "trainer_host/trainer/quantize/mobile_bytes.hpp"

namespace outcrop::quantize {
namespace {

constexpr std::size_t most_evaluations = 10;
// Rows. Ranges of fewer cut off what others have; of one layer after the other fewer are judged by.
constexpr std::int64_t most_calibrated = 64;
constexpr std::int64_t most_judged = 32;
constexpr std::int64_t most_judged_of_a_layer = 16;
constexpr double usual_room = 1.1;  // of all int8's time and size, where nobody says otherwise

std::string text_of(double value, const char* format) {
  std::string text(64, '\0');
  text.resize(static_cast<std::size_t>(std::snprintf(text.data(), text.size(), format, value)));
  return text;
}

std::string in_words(const Whole& whole) {
  return text_of(whole.ms, "%.3g ms") + ", " + ByteCount(static_cast<std::uint64_t>(whole.bytes)).human() + ", " +
         (whole.noise > 0.0 ? text_of(whole.db(), "%.1f dB") : "no error");
}

struct Tried {
  Formats formats;
  Whole predicted;
  MixedEvaluation evaluation;
};

class FormatSearch {
 public:
  FormatSearch(const Method& maker, Plan plan, const kinds::Export& model, const Settling& how)
      : maker_(maker), plan_(std::move(plan)), model_(model), how_(how), judged_(model, most_calibrated, most_judged) {
    for (std::size_t part = 0; part < model.parts.size(); ++part) {
      for (std::size_t i = 0; i < plan_.layers.size(); ++i) {
        const LayerDecision& layer = plan_.layers[i];
        if (!has_static_kernel(layer.operation)) continue;  // a table: in bytes it is as good, and a quarter
        if (layer.format != "int8" || !layer.layer.starts_with(model.parts[part].name + ".")) continue;
        layers_.push_back({i, part});
      }
    }
    figures_.resize(layers_.size());
    wishes_ = how.mixed;
  }

  Result<Settled> run() {
    if (how_.costs) OUTCROP_CHECK(take_costs(*how_.costs));
    if (!judged_.apart()) {
      remarks_.push_back("there are fewer than 8 rows: layers were judged by the rows that calibrated them");
    }
    OUTCROP_CHECK(evaluate(Formats(layers_.size(), false), "all float"));
    OUTCROP_CHECK(evaluate(Formats(layers_.size(), true), "all int8"));
    if (how_.board) OUTCROP_CHECK(take_times_of_board(*how_.board));
    set_usual_wishes();
    OUTCROP_CHECK(measure_noises());
    if (!times_are_given()) OUTCROP_CHECK(measure_times());
    for (Tried& one : tried_) one.predicted = sum_of(one.formats);
    while (tried_.size() < most_evaluations) {
      Formats formats = best_formats(figures_, wishes_, [this](const Formats& one) { return expected(one); });
      if (is_tried(formats)) break;
      OUTCROP_CHECK(evaluate(std::move(formats), "choice " + std::to_string(tried_.size() - 1)));
    }
    tell(all_steps(), "done");
    return settled();
  }

 private:
  struct Place {
    std::size_t layer = 0;  // in the plan
    std::size_t part = 0;
  };

  [[nodiscard]] std::size_t all_steps() const { return layers_.size() + most_evaluations; }
  void tell(std::size_t done, const std::string& what) const {
    if (how_.progress) how_.progress(done, all_steps(), what);
  }

  [[nodiscard]] Plan with(const Formats& formats, std::vector<std::string> corrections) const {
    Plan plan = plan_;
    plan.corrections = std::move(corrections);
    for (std::size_t i = 0; i < layers_.size(); ++i) plan.layers[layers_[i].layer].format = formats[i] ? "int8" : "float";
    return plan;
  }

  [[nodiscard]] bool any_answers_codes() const {
    return std::any_of(model_.parts.begin(), model_.parts.end(),
                       [](const kinds::ExportPart& part) { return !part.answers_floats; });
  }

  // A whole model as boards would get it. `forms` are of judged_, and serve where they are what boards get.
  Result<std::string> file_of(const Plan& plan, std::vector<kinds::PartForm> forms) const {
    if (any_answers_codes()) {
      kinds::Export as_boards_get = model_;
      for (std::size_t i = 0; i < model_.parts.size(); ++i) {
        as_boards_get.parts[i].calibration = judged_.to_calibrate().parts[i].calibration;
      }
      Plan plain = plan;
      plain.corrections.emplace();
      OUTCROP_TRY(applied, maker_.apply(plain, as_boards_get));
      forms = std::move(applied.forms);
    }
    return mobile_bytes(model_.compose(std::move(forms)));
  }

  Status evaluate(Formats formats, const std::string& what) {
    const std::size_t layers_done = tried_.size() < 2 ? 0 : layers_.size();
    tell(layers_done + tried_.size(),
         "evaluation " + std::to_string(tried_.size() + 1) + " of at most " + std::to_string(most_evaluations) + ", " + what);
    const bool is_float = tried_.empty();
    const bool all_corrections = tried_.size() == 1;
    const Plan plan = with(formats, all_corrections ? plan_.corrections.value_or(std::vector<std::string>()) : corrections_);
    OUTCROP_TRY(applied, maker_.apply(plan, judged_.to_calibrate()));
    if (all_corrections) corrections_ = stayed(applied.corrections);
    Tried tried{std::move(formats), {}, {.what = what}};
    tried.evaluation.int8_layers = static_cast<std::size_t>(std::count(tried.formats.begin(), tried.formats.end(), true));
    Whole& whole = tried.evaluation.whole;
    whole.noise = judged_.noise_of(applied.forms);
    OUTCROP_TRY(bytes, file_of(plan, std::move(applied.forms)));
    whole.bytes = static_cast<double>(bytes.size());
    OUTCROP_TRY(loaded, models::LiteModel::load(bytes, what));
    auto model = std::make_unique<models::LiteModel>(std::move(loaded));
    if (model_.likeness) {
      OUTCROP_TRY(answers, answer_goldens(*model, model_));
      if (is_float) truth_ = answers;
      tried.evaluation.likeness = likeness_of(answers);
    }
    tried.predicted = sum_of(tried.formats);
    if (times_are_given()) {
      whole.ms = tried.predicted.ms;
    } else {
      OUTCROP_TRY(ms, time_of(*model));
      whole.ms = ms;
    }
    if (is_float) {
      all_float_ = std::move(model);
    } else if (all_corrections) {
      all_int8_ = std::move(model);
    }
    tried_.push_back(std::move(tried));
    return {};
  }

  // Beside all float, in turns: what disturbs one disturbs both.
  Result<double> time_of(models::LiteModel& model) {
    const kinds::ExampleCall& call = model_.goldens.front();
    if (tried_.empty()) {
      OUTCROP_TRY(times, median_times({&model}, call));
      return times.front();
    }
    OUTCROP_TRY(times, median_times({&model, all_float_.get()}, call));
    return times[0] / times[1] * all_float().ms;
  }

  // Of the golden calls, over all outputs.
  [[nodiscard]] double likeness_of(const std::vector<std::vector<torch::Tensor>>& answers) const {
    double sum = 0.0;
    double count = 0.0;
    for (std::size_t call = 0; call < truth_.size(); ++call) {
      const auto& outputs = model_.signature.method(model_.goldens[call].method)->outputs;
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        sum += model_.likeness(outputs[i].name, truth_[call][i], answers[call][i]);
        count += 1.0;
      }
    }
    return count > 0.0 ? sum / count : 1.0;
  }

  // The first two that are tried.
  [[nodiscard]] const Whole& all_float() const { return tried_.at(0).evaluation.whole; }
  [[nodiscard]] const Whole& all_int8() const { return tried_.at(1).evaluation.whole; }

  void set_usual_wishes() {
    if (wishes_.has_bounds() || wishes_.wanted() != kinds::Aim::accuracy) return;
    wishes_.budget_ms = usual_room * all_int8().ms;
    wishes_.budget_size = ByteCount(static_cast<std::uint64_t>(usual_room * all_int8().bytes));
    remarks_.push_back("no budget was given: a tenth more than all int8 takes");
  }

  // Each layer alone in int8. Of networks that are equalized where that stayed: codes are spent otherwise there.
  Status measure_noises() {
    JudgedRows rows(model_, most_calibrated, most_judged_of_a_layer);
    if (std::find(corrections_.begin(), corrections_.end(), "equalization") != corrections_.end()) {
      for (kinds::ExportPart& part : rows.to_calibrate().parts) {
        part.network = fold_batch_norm(reload(part.network));
        equalize(part.network);
      }
    }
    double bytes = 0.0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const LayerDecision& layer = plan_.layers[layers_[i].layer];
      tell(2 + i, "layer " + std::to_string(i + 1) + " of " + std::to_string(layers_.size()) + ", " + layer.layer);
      Formats alone(layers_.size(), false);
      alone[i] = true;
      OUTCROP_TRY(applied, maker_.apply(with(alone, {}), rows.to_calibrate()));
      figures_[i].noise = rows.noise_of(layers_[i].part, applied.forms[layers_[i].part].module) /
                          static_cast<double>(model_.parts.size());
      bytes += static_cast<double>(layer.weights);
    }
    const double more = all_float().bytes - all_int8().bytes;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      figures_[i].more_bytes = more * static_cast<double>(plan_.layers[layers_[i].layer].weights) / std::max(bytes, 1.0);
    }
    return {};
  }

  [[nodiscard]] bool is_first(std::size_t i) const { return i == 0 || layers_[i - 1].part != layers_[i].part; }
  [[nodiscard]] bool is_last(std::size_t i) const {
    return i + 1 == layers_.size() || layers_[i + 1].part != layers_[i].part;
  }

  [[nodiscard]] bool times_are_given() const { return how_.costs || how_.board; }

  [[nodiscard]] std::vector<TimedLayer> timed_layers() const {
    std::vector<TimedLayer> timed;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      timed.push_back({plan_.layers[layers_[i].layer].operation, is_first(i), is_last(i)});
    }
    return timed;
  }

  Status measure_times() {
    auto measured = measure_layers(timed_layers(), *all_int8_, *all_float_, model_.goldens.at(model_.counted_golden));
    if (!measured) {
      remarks_.push_back("layers' times cannot be told apart (" + measured.error().message() +
                         "): they are the whole's, by multiply-adds");
      return spread_times();
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      LayerFigures one = (*measured)[i];
      one.noise = figures_[i].noise;
      one.more_bytes = figures_[i].more_bytes;
      figures_[i] = one;
    }
    other_ms_ = std::max(0.0, all_float().ms - sum_of(tried_.front().formats).ms);
    return {};
  }

  Status spread_times() {
    double all = 0.0;
    for (const Place& place : layers_) all += static_cast<double>(plan_.layers[place.layer].multiply_adds);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const double share = static_cast<double>(plan_.layers[layers_[i].layer].multiply_adds) / std::max(all, 1.0);
      figures_[i].first = is_first(i);
      figures_[i].int8_ms = share * all_int8().ms;
      figures_[i].float_ms = share * all_float().ms;
    }
    return {};
  }

  // Times of a plan that was made elsewhere.
  Status take_costs(const Plan& costs) {
    const auto refuse = [](const std::string& why) {
      return fail(ErrorCode::invalid_argument, "costs: " + why);
    };
    std::set<std::string> wanted;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const LayerDecision& layer = plan_.layers[layers_[i].layer];
      const LayerDecision* there = costs.layer(layer.layer);
      wanted.insert(layer.layer);
      if (there == nullptr) return refuse("nothing is said of layer '" + layer.layer + "': they are of another model");
      if (there->operation != layer.operation || (there->weights != 0 && there->weights != layer.weights)) {
        return refuse("'" + layer.layer + "' is " + there->operation + " of " + std::to_string(there->weights) +
                      " weights there, and here " + layer.operation + " of " + std::to_string(layer.weights) +
                      ": they are of another model");
      }
      if (!there->cost) return refuse("layer '" + layer.layer + "' has no int8_ms and float_ms; a plan of int8-mixed has them");
      const LayerCost& cost = *there->cost;
      figures_[i] = {.int8_ms = cost.int8_ms, .float_ms = cost.float_ms, .enter_ms = cost.enter_ms,
                     .leave_ms = cost.leave_ms, .end_ms = cost.end_ms, .first = is_first(i)};
    }
    for (const LayerDecision& layer : costs.layers) {
      if (plan_.layer(layer.layer) == nullptr) {
        return refuse("the model has no layer '" + layer.layer + "': they are of another model");
      }
    }
    other_ms_ = costs.other_ms.value_or(0.0);
    remarks_.push_back("times are those that were given, added up; errors and sizes are measured here");
    return {};
  }

  // All float and all int8 are made: what they run is held against what the board ran, in the call that boards time.
  Status take_times_of_board(const messages::Layers& board) {
    OUTCROP_TRY(there, layers_of_board(board, timed_layers(), *all_int8_, *all_float_, model_.goldens.front()));
    figures_ = std::move(there.figures);
    other_ms_ = there.other_ms;
    for (Tried& one : tried_) one.evaluation.whole.ms = sum_of(one.formats).ms;
    remarks_.push_back("times are those that " + board.header.device + " (" + board.device_class + ") told on " +
                       to_rfc3339(board.header.time) + ", added up; errors and sizes are measured here");
    return {};
  }

  [[nodiscard]] Whole sum_of(const Formats& formats) const {
    const double bytes = tried_.size() < 2 ? 0.0 : all_int8().bytes;
    return predicted(figures_, formats, {.ms = other_ms_, .bytes = bytes});
  }

  [[nodiscard]] static std::size_t distance(const Formats& one, const Formats& other) {
    std::size_t apart = 0;
    for (std::size_t i = 0; i < one.size(); ++i) apart += one[i] != other[i] ? 1 : 0;
    return apart;
  }

  [[nodiscard]] const Tried* nearest(const Formats& formats, bool with_noise) const {
    const Tried* found = nullptr;
    for (const Tried& one : tried_) {
      if (with_noise && (one.predicted.noise <= 0.0 || one.evaluation.whole.noise <= 0.0)) continue;
      if (found == nullptr || distance(one.formats, formats) < distance(found->formats, formats)) found = &one;
    }
    return found;
  }

  // The sum of the layers, corrected by how far off it is for the nearest that was tried: what was tried is what it was.
  [[nodiscard]] Whole expected(const Formats& formats) const {
    const Tried* near = nearest(formats, false);
    if (near->formats == formats) return near->evaluation.whole;
    Whole whole = sum_of(formats);
    whole.ms = std::max(0.0, whole.ms + near->evaluation.whole.ms - near->predicted.ms);
    whole.bytes += near->evaluation.whole.bytes - near->predicted.bytes;
    if (const Tried* noisy = nearest(formats, true)) whole.noise *= noisy->evaluation.whole.noise / noisy->predicted.noise;
    return whole;
  }

  [[nodiscard]] bool is_tried(const Formats& formats) const {
    return std::any_of(tried_.begin(), tried_.end(), [&](const Tried& one) { return one.formats == formats; });
  }

  // Among those that keep to the wishes; where accuracy is aimed at, the model's own measure first.
  Tried* best() {
    const kinds::Aim aim = wishes_.wanted();
    const auto goes_before = [&](const Tried& one, const Tried& other) {
      const double alike = one.evaluation.likeness.value_or(0.0);
      const double other_alike = other.evaluation.likeness.value_or(0.0);
      if (aim == kinds::Aim::accuracy && alike != other_alike) return alike > other_alike;
      return is_better(one.evaluation.whole, other.evaluation.whole, aim);
    };
    Tried* found = nullptr;
    for (Tried& one : tried_) {
      if (keeps(one.evaluation.whole, wishes_) && (found == nullptr || goes_before(one, *found))) found = &one;
    }
    return found;
  }

  [[nodiscard]] Error nothing_keeps() const {
    const auto near = std::min_element(tried_.begin(), tried_.end(), [&](const Tried& one, const Tried& other) {
      return excess(one.evaluation.whole, wishes_) < excess(other.evaluation.whole, wishes_);
    });
    return {ErrorCode::refused,
            "nothing keeps to this: " + kinds::in_words(wishes_) + ". The nearest of " + std::to_string(tried_.size()) +
                " that were tried (" + near->evaluation.what + ", " + std::to_string(near->evaluation.int8_layers) +
                " of " + std::to_string(layers_.size()) + " layers in int8): " + in_words(near->evaluation.whole)};
  }

  [[nodiscard]] Error float_keeps() const {
    return {ErrorCode::refused, "float keeps to this already: " + kinds::in_words(wishes_) + ". Float: " + in_words(all_float()) + "; all int8: " +
                                        in_words(all_int8()) +
                                        ". Ask for less time (--budget-ms) or a smaller file (--budget-size), or say --aim size"};
  }

  [[nodiscard]] std::string why(std::size_t i, bool int8) const {
    const LayerFigures& one = figures_[i];
    const double spared = one.float_ms - one.int8_ms;
    const auto place = 1 + std::count_if(figures_.begin(), figures_.end(),
                                         [&](const LayerFigures& other) { return other.noise > one.noise; });
    const std::string loss = one.noise > 0.0 ? text_of(Whole{.noise = one.noise}.db(), "%.1f dB") + " alone, number " +
                                                   std::to_string(place) + " of " + std::to_string(figures_.size()) +
                                                   " by what it loses"
                                             : std::string("loses nothing");
    const std::string time = text_of(std::abs(spared), "%.3f ms") + (spared >= 0.0 ? " faster" : " slower") + " in int8";
    if (int8) return time + "; " + loss;
    return loss + "; " + time;
  }

  Result<Settled> settled() {
    Tried* chosen = best();
    if (chosen == nullptr) return fail(nothing_keeps());
    if (chosen->evaluation.int8_layers == 0) return fail(float_keeps());
    chosen->evaluation.chosen = true;
    MixedReport report{.wishes = wishes_, .likeness_name = model_.likeness_name, .layers = {}, .evaluations = {}};
    Plan plan = with(chosen->formats, corrections_);  // as it was judged
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      LayerDecision& layer = plan.layers[layers_[i].layer];
      const LayerFigures& one = figures_[i];
      const bool int8 = chosen->formats[i];
      const std::string reason = why(i, int8);
      if (!int8) layer.reason = reason;
      layer.cost = {one.int8_ms, one.float_ms, one.enter_ms, one.leave_ms, one.end_ms, Whole{.noise = one.noise}.db()};
      report.layers.push_back({layer.layer, layer.operation, int8, one, reason});
    }
    plan.other_ms = other_ms_;
    for (const Tried& one : tried_) report.evaluations.push_back(one.evaluation);
    report.remarks = remarks_;
    return Settled{std::move(plan), std::move(report)};
  }

  const Method& maker_;
  Plan plan_;
  const kinds::Export& model_;
  const Settling& how_;
  JudgedRows judged_;
  kinds::MixedWishes wishes_;
  std::vector<Place> layers_;  // that may be int8
  std::vector<LayerFigures> figures_;
  double other_ms_ = 0.0;
  std::vector<std::string> corrections_;  // that stayed in all int8
  std::unique_ptr<models::LiteModel> all_int8_;
  std::unique_ptr<models::LiteModel> all_float_;
  std::vector<std::vector<torch::Tensor>> truth_;  // what float answers to the golden calls
  std::vector<Tried> tried_;
  std::vector<std::string> remarks_;
};

}  // namespace

Result<Settled> search_formats(const Method& maker, Plan plan, const kinds::Export& model, const Settling& how) {
  return FormatSearch(maker, std::move(plan), model, how).run();
}

}  // namespace outcrop::quantize
