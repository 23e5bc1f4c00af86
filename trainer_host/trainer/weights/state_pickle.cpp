#include "trainer_host/trainer/weights/state_pickle.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>
#include <variant>

#include "runtime/engine/tensor.hpp"
#include "trainer_host/trainer/weights/pickle_opcodes.hpp"
#include "trainer_host/trainer/weights/state_globals.hpp"

namespace outcrop::weights {
namespace {

// Python's pickler keeps at most some 2000 values waiting (it sets 1000 items at a time), and notes a
// dozen for a tensor: far below these, which bound the memory of a pickle that is made to fill it.
constexpr std::size_t deepest_stack = 1 << 16;
constexpr std::size_t most_marks = 64;
constexpr std::size_t most_notes = 1 << 21;

tl::unexpected<Error> bad_pickle(std::string message) {
  return fail(ErrorCode::invalid_data, std::move(message));
}

struct List {};  // whatever is in it: no state_dict has one
struct Items;    // of a tuple
struct Dict;

struct Storage {
  StorageType type = StorageType::float32;
  std::string_view name;
  std::int64_t elements = 0;
};

// Values point to what the machine keeps: one may contain itself, and nothing here recurses.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string_view, List, Function,
                           StorageType, const Items*, Dict*, const Storage*, const TensorPlace*>;

struct Items {
  std::vector<Value> values;
};

struct Dict {
  bool ordered = false;
  bool other_keys = false;  // some that are no texts
  std::map<std::string_view, Value> entries;
};

bool is_empty_dict(const Value& value) {
  const auto* const dict = std::get_if<Dict*>(&value);
  return dict != nullptr && (*dict)->entries.empty() && !(*dict)->other_keys;
}

// Whole numbers in `items`; false where there is anything else.
// Sizes and strides: a pickle says a list once, and as many tensors as it likes repeat it.
bool take_integers(const Items& items, std::vector<std::int64_t>& numbers) {
  constexpr std::size_t most_dimensions = 8;
  if (items.values.size() > most_dimensions) return false;
  for (const Value& value : items.values) {
    const auto* const number = std::get_if<std::int64_t>(&value);
    if (number == nullptr) return false;
    numbers.push_back(*number);
  }
  return true;
}

class Machine {
 public:
  explicit Machine(BytesView pickle) : rest_(pickle) {}

  // The one value that the pickle leaves; valid as long as the machine.
  Result<Value> run() {
    OUTCROP_CHECK(read_protocol());
    for (;;) {
      OUTCROP_TRY(code, take_number(1));
      const auto opcode = static_cast<Opcode>(code);
      if (opcode == Opcode::stop) return result();
      OUTCROP_CHECK(step(opcode));
    }
  }

 private:
  Status read_protocol() {
    if (rest_.size() < 2 || static_cast<Opcode>(rest_[0]) != Opcode::proto) {
      return bad_pickle("it does not begin as a pickle of protocol 2 to 5 does");
    }
    const unsigned version = std::to_integer<unsigned>(rest_[1]);
    if (version < 2 || version > 5) {
      return bad_pickle("pickle protocol " + std::to_string(version) + "; 2 to 5 are read");
    }
    rest_ = rest_.subspan(2);
    return {};
  }

  Result<Value> result() {
    if (!rest_.empty()) return bad_pickle(std::to_string(rest_.size()) + " bytes follow its end");
    if (!marks_.empty() || stack_.size() != 1) return bad_pickle("it does not end with one value");
    return stack_.back();
  }

  Status step(Opcode opcode) {
    switch (opcode) {
      case Opcode::none: return push(std::monostate());
      case Opcode::new_true: return push(true);
      case Opcode::new_false: return push(false);
      case Opcode::bin_int1: return push_integer(1);
      case Opcode::bin_int2: return push_integer(2);
      case Opcode::bin_int: return push_signed(4);
      case Opcode::long1: return push_long();
      case Opcode::bin_float: return skip_float();
      case Opcode::short_bin_unicode: return push_text(1);
      case Opcode::bin_unicode: return push_text(4);
      case Opcode::bin_unicode8: return push_text(8);
      case Opcode::frame: return skip_frame();
      case Opcode::mark: return mark();
      case Opcode::empty_tuple: return push_tuple(0);
      case Opcode::tuple1: return push_tuple(1);
      case Opcode::tuple2: return push_tuple(2);
      case Opcode::tuple3: return push_tuple(3);
      case Opcode::tuple: return push_marked_tuple();
      case Opcode::empty_list: return push(List());
      case Opcode::append: return append(/*marked=*/false);
      case Opcode::appends: return append(/*marked=*/true);
      case Opcode::empty_dict: return push(&dicts_.emplace_back());
      case Opcode::set_item: return set_items(/*marked=*/false);
      case Opcode::set_items: return set_items(/*marked=*/true);
      case Opcode::bin_put: return note_at(1);
      case Opcode::long_bin_put: return note_at(4);
      case Opcode::memoize: return note(notes_.size());
      case Opcode::bin_get: return recall(1);
      case Opcode::long_bin_get: return recall(4);
      case Opcode::global: return name_global();
      case Opcode::stack_global: return name_stacked_global();
      case Opcode::bin_persid: return name_storage();
      case Opcode::reduce: return call();
      case Opcode::build: return build();
      default: break;
    }
    return bad_pickle("it has " + opcode_name(opcode) +
                      ", which rebuilds no tensors; save model.state_dict(), tensors alone");
  }

  // Bytes of the pickle.
  Result<BytesView> take(std::uint64_t count) {
    if (count > rest_.size()) return bad_pickle("it is cut short");
    const BytesView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  Result<std::uint64_t> take_number(std::size_t bytes) {
    OUTCROP_TRY(taken, take(bytes));
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;) value = (value << 8) | std::to_integer<std::uint64_t>(taken[i]);
    return value;
  }
  Result<std::string_view> take_line() {
    const std::string_view text = as_text(rest_);
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return bad_pickle("it is cut short");
    rest_ = rest_.subspan(end + 1);
    return text.substr(0, end);
  }

  // The stack; what lies below the latest mark is out of reach.
  Status push(Value value) {
    if (stack_.size() >= deepest_stack) return bad_pickle("it keeps too many values waiting");
    stack_.push_back(value);
    return {};
  }
  [[nodiscard]] std::size_t reachable() const {
    return stack_.size() - (marks_.empty() ? 0 : marks_.back());
  }
  Result<Value> pop() {
    if (reachable() == 0) return bad_pickle("it takes a value where there is none");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  template <class T>
  Result<T> pop_as(const char* what) {
    OUTCROP_TRY(value, pop());
    if (const T* const wanted = std::get_if<T>(&value)) return *wanted;
    return bad_pickle(std::string("it uses something else where ") + what + " belongs");
  }
  Result<std::vector<Value>> pop_last(std::size_t count) {
    if (reachable() < count) return bad_pickle("it takes a value where there is none");
    std::vector<Value> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  Status mark() {
    if (marks_.size() >= most_marks) return bad_pickle("it nests too deeply");
    marks_.push_back(stack_.size());
    return {};
  }
  Result<std::vector<Value>> pop_to_mark() {
    if (marks_.empty()) return bad_pickle("it goes back to a mark where there is none");
    OUTCROP_TRY(values, pop_last(reachable()));
    marks_.pop_back();
    return values;
  }

  Status push_integer(std::size_t bytes) {
    OUTCROP_TRY(value, take_number(bytes));
    return push(static_cast<std::int64_t>(value));
  }
  Status push_signed(std::size_t bytes) {
    OUTCROP_TRY(value, take_number(bytes));
    if (bytes == 0) return push(std::int64_t{0});
    const unsigned unused = 64 - 8 * static_cast<unsigned>(bytes);
    return push(static_cast<std::int64_t>(value << unused) >> unused);
  }
  Status push_long() {
    OUTCROP_TRY(bytes, take_number(1));
    if (bytes > sizeof(std::int64_t)) return bad_pickle("it has a number of more than 64 bits");
    return push_signed(bytes);
  }
  // Checkpoints have them, tensors do not: that there is one is enough.
  Status skip_float() {
    OUTCROP_CHECK(take(sizeof(double)));
    return push(0.0);
  }
  Status push_text(std::size_t length_bytes) {
    OUTCROP_TRY(length, take_number(length_bytes));
    OUTCROP_TRY(text, take(length));
    return push(as_text(text));
  }
  // How much to read at once: here, all is there.
  Status skip_frame() {
    OUTCROP_TRY(length, take_number(8));
    if (length > rest_.size()) return bad_pickle("it is cut short");
    return {};
  }

  Status push_items(std::vector<Value> values) {
    return push(&std::as_const(items_.emplace_back(Items{std::move(values)})));
  }
  Status push_tuple(std::size_t count) {
    OUTCROP_TRY(values, pop_last(count));
    return push_items(std::move(values));
  }
  Status push_marked_tuple() {
    OUTCROP_TRY(values, pop_to_mark());
    return push_items(std::move(values));
  }
  Status append(bool marked) {
    OUTCROP_CHECK(marked ? pop_to_mark() : pop_last(1));
    OUTCROP_TRY(list, pop_as<List>("a list"));
    return push(list);
  }
  Status set_items(bool marked) {
    OUTCROP_TRY(values, marked ? pop_to_mark() : pop_last(2));
    OUTCROP_TRY(dict, pop_as<Dict*>("a dict"));
    if (values.size() % 2 != 0) return bad_pickle("a dict has a key without a value");
    for (std::size_t i = 0; i < values.size(); i += 2) {
      const auto* const key = std::get_if<std::string_view>(&values[i]);
      if (key == nullptr) {
        dict->other_keys = true;
      } else if (!dict->entries.emplace(*key, values[i + 1]).second) {
        return bad_pickle("'" + shown(*key) + "' is there twice");
      }
    }
    return push(dict);
  }

  Status note(std::uint64_t index) {
    if (reachable() == 0) return bad_pickle("it notes a value where there is none");
    if (notes_.size() >= most_notes) return bad_pickle("it notes too many values");
    notes_.insert_or_assign(index, stack_.back());
    return {};
  }
  Status note_at(std::size_t bytes) {
    OUTCROP_TRY(index, take_number(bytes));
    return note(index);
  }
  Status recall(std::size_t bytes) {
    OUTCROP_TRY(index, take_number(bytes));
    const auto found = notes_.find(index);
    if (found == notes_.end()) return bad_pickle("it recalls a value that it never noted");
    return push(found->second);
  }

  Status push_global(std::string_view module, std::string_view name) {
    OUTCROP_TRY(global, find_global(module, name));
    return std::visit([this](auto known) { return push(known); }, global);
  }
  Status name_global() {
    OUTCROP_TRY(module, take_line());
    OUTCROP_TRY(name, take_line());
    return push_global(module, name);
  }
  Status name_stacked_global() {
    OUTCROP_TRY(name, pop_as<std::string_view>("a name"));
    OUTCROP_TRY(module, pop_as<std::string_view>("a module's name"));
    return push_global(module, name);
  }

  // ("storage", type, name, device, elements)
  Status name_storage() {
    OUTCROP_TRY(items, pop_as<const Items*>("a storage's description"));
    const auto& values = items->values;
    const auto text = [&](std::size_t i) { return std::get_if<std::string_view>(&values[i]); };
    const bool is_storage = values.size() == 5 && text(0) != nullptr && *text(0) == "storage" &&
                            std::holds_alternative<StorageType>(values[1]) && text(2) != nullptr &&
                            text(3) != nullptr && std::holds_alternative<std::int64_t>(values[4]) &&
                            std::get<std::int64_t>(values[4]) >= 0;
    if (!is_storage) return bad_pickle("it describes a storage in a way that torch.save does not");
    if (*text(3) == "meta") return bad_pickle("it holds a meta tensor, which has no values");
    return push(&std::as_const(storages_.emplace_back(
        Storage{std::get<StorageType>(values[1]), *text(2), std::get<std::int64_t>(values[4])})));
  }

  Status call() {
    OUTCROP_TRY(items, pop_as<const Items*>("a function's arguments"));
    OUTCROP_TRY(function, pop_as<Function>("a function"));
    switch (function) {
      case Function::ordered_dict: return make_ordered_dict(*items);
      case Function::rebuild_tensor: return rebuild_tensor(*items);
      case Function::rebuild_parameter: return rebuild_parameter(*items);
    }
    return fail(ErrorCode::internal, "a function that no case knows");
  }
  Status make_ordered_dict(const Items& items) {
    if (!items.values.empty()) return bad_pickle("it makes an OrderedDict in a way that torch.save does not");
    Dict& dict = dicts_.emplace_back();
    dict.ordered = true;
    return push(&dict);
  }
  // (storage, offset, sizes, strides, requires_grad, hooks[, metadata])
  Status rebuild_tensor(const Items& items) {
    const auto& values = items.values;
    const bool is_tensor =
        (values.size() == 6 || values.size() == 7) && std::holds_alternative<const Storage*>(values[0]) &&
        std::holds_alternative<std::int64_t>(values[1]) && std::holds_alternative<const Items*>(values[2]) &&
        std::holds_alternative<const Items*>(values[3]) && std::holds_alternative<bool>(values[4]) &&
        is_empty_dict(values[5]);
    TensorPlace place;
    if (!is_tensor || !take_integers(*std::get<const Items*>(values[2]), place.shape) ||
        !take_integers(*std::get<const Items*>(values[3]), place.strides)) {
      return bad_pickle("it rebuilds a tensor in a way that torch.save does not");
    }
    // Bits that say to negate or conjugate when read.
    if (values.size() == 7 && !std::holds_alternative<std::monostate>(values[6]) && !is_empty_dict(values[6])) {
      return bad_pickle("it holds a tensor with metadata: save tensor.resolve_neg()");
    }
    const Storage& storage = *std::get<const Storage*>(values[0]);
    place.type = storage.type;
    place.storage = storage.name;
    place.storage_elements = storage.elements;
    place.offset = std::get<std::int64_t>(values[1]);
    return push(&std::as_const(tensors_.emplace_back(std::move(place))));
  }
  // (tensor, requires_grad, hooks)
  Status rebuild_parameter(const Items& items) {
    const auto& values = items.values;
    const bool is_parameter = values.size() == 3 && std::holds_alternative<const TensorPlace*>(values[0]) &&
                              std::holds_alternative<bool>(values[1]) && is_empty_dict(values[2]);
    if (!is_parameter) return bad_pickle("it rebuilds a parameter in a way that torch.save does not");
    return push(values[0]);
  }
  // Attributes of a value: those of a state_dict are the versions of its modules, which say nothing here.
  Status build() {
    OUTCROP_TRY(state, pop_as<Dict*>("a dict of attributes"));
    OUTCROP_TRY(dict, pop_as<Dict*>("an OrderedDict"));
    const bool versions = !state->other_keys && std::all_of(state->entries.begin(), state->entries.end(),
                                                            [](const auto& entry) { return entry.first == "_metadata"; });
    if (!dict->ordered || !versions) {
      return bad_pickle("it sets attributes that no state_dict has; save model.state_dict() as it is");
    }
    return push(dict);
  }

  BytesView rest_;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint64_t, Value> notes_;
  // Deques: what values point to stays where it is.
  std::deque<Items> items_;
  std::deque<Dict> dicts_;
  std::deque<Storage> storages_;
  std::deque<TensorPlace> tensors_;
};

// The furthest value that sizes and strides reach must be one of the storage's.
Status check_place(const TensorPlace& place) {
  if (place.shape.size() != place.strides.size()) return bad_pickle("it has other strides than sizes");
  OUTCROP_CHECK(runtime::size_of(runtime::DType::int64, place.shape));
  const bool empty = std::find(place.shape.begin(), place.shape.end(), 0) != place.shape.end();
  bool outside = place.offset < 0;
  std::int64_t furthest = place.offset;
  for (std::size_t i = 0; i < place.shape.size(); ++i) {
    if (place.strides[i] < 0) return bad_pickle("it has a stride of " + std::to_string(place.strides[i]));
    std::int64_t reach = 0;
    outside = outside || (!empty &&
                          (__builtin_mul_overflow(place.shape[i] - 1, place.strides[i], &reach) ||
                           __builtin_add_overflow(furthest, reach, &furthest)));
  }
  if (!outside && (empty || furthest < place.storage_elements)) return {};
  return bad_pickle("it reaches beyond the " + std::to_string(place.storage_elements) + " values of its storage");
}

bool holds_tensors(const Value& value) {
  const auto* const dict = std::get_if<Dict*>(&value);
  return dict != nullptr && std::any_of((*dict)->entries.begin(), (*dict)->entries.end(), [](const auto& entry) {
           return std::holds_alternative<const TensorPlace*>(entry.second);
         });
}

// Of a dict that holds something else than tensors.
tl::unexpected<Error> no_state_dict(const Dict& dict) {
  std::string under;
  std::string first;
  std::string other = "keys that are no names";
  for (const auto& [key, value] : dict.entries) {
    if (!std::holds_alternative<const TensorPlace*>(value)) other = "'" + shown(key) + "', which is no tensor";
    if (!holds_tensors(value)) continue;
    if (first.empty()) first = shown(key);
    under += (under.empty() ? "'" : " and '") + shown(key) + "'";
  }
  if (first.empty()) return bad_pickle("it holds " + other + "; save model.state_dict(), tensors alone");
  return bad_pickle("its tensors stand in dicts of their own, under " + under + "; save one alone: torch.save(torch.load(FILE)['" +
                    first + "'], OTHER_FILE)");
}

}  // namespace

std::size_t element_size(StorageType type) {
  switch (type) {
    case StorageType::float64:
    case StorageType::int64: return 8;
    case StorageType::float32:
    case StorageType::int32: return 4;
    case StorageType::float16:
    case StorageType::bfloat16:
    case StorageType::int16: return 2;
    case StorageType::int8:
    case StorageType::uint8:
    case StorageType::boolean: return 1;
  }
  return 1;
}

Result<std::map<std::string, TensorPlace>> read_state_pickle(BytesView pickle) {
  if (pickle.size() > longest_state_pickle.value()) {
    return bad_pickle("its pickle takes " + ByteCount(pickle.size()).human() + "; at most " +
                      longest_state_pickle.human() + " are read");
  }
  Machine machine(pickle);
  OUTCROP_TRY(value, machine.run());
  const auto* const dict = std::get_if<Dict*>(&value);
  if (dict == nullptr) return bad_pickle("it holds no dict of tensors; save model.state_dict()");
  std::map<std::string, TensorPlace> places;
  for (const auto& [name, entry] : (*dict)->entries) {
    const auto* const place = std::get_if<const TensorPlace*>(&entry);
    if (place == nullptr) return no_state_dict(**dict);
    if (name.empty()) return bad_pickle("it holds a tensor without a name");
    if (const auto status = check_place(**place); !status) {
      return fail(status.error().context("'" + shown(name) + "'"));
    }
    places.emplace(name, **place);
  }
  if ((*dict)->other_keys) return no_state_dict(**dict);
  if (places.empty()) return bad_pickle("it holds no tensors");
  return places;
}

}  // namespace outcrop::weights
