#include "trainer_host/trainer/weights/state_dict.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/weights/state_pickle.hpp"
#include "trainer_host/trainer/weights/stored_zip.hpp"
#include "trainer_host/trainer/weights/weights_file.hpp"
#include "trainer_host/trainer/weights/zip_for_tests.hpp"

namespace outcrop::weights {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Entries = std::vector<std::pair<std::string, std::string>>;

// Files that tests/weights/make_fixtures.py wrote.
std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(OUTCROP_SOURCE) / "tests/weights" / name;
}

std::string fixture_bytes(const std::string& name) {
  const auto bytes = read_file(fixture(name), ByteCount::mib(1));
  EXPECT_TRUE(bytes) << name;
  return bytes ? std::string(as_text(*bytes)) : std::string();
}

auto refused(const std::string& why) {
  return ErrorIs(ErrorCode::invalid_data, HasSubstr(why));
}

std::vector<float> counted(std::size_t count, float from) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = from + static_cast<float>(i);
  return values;
}

void expect_floats(const Weights& weights, const std::string& name, std::vector<std::int64_t> shape,
                   const std::vector<float>& values) {
  ASSERT_TRUE(weights.contains(name)) << name;
  const runtime::Tensor& tensor = weights.at(name);
  EXPECT_EQ(tensor.name, name);
  EXPECT_EQ(tensor.shape, shape) << name;
  ASSERT_EQ(tensor.dtype, runtime::DType::float32) << name;
  const auto floats = tensor.floats();
  EXPECT_EQ(std::vector<float>(floats.begin(), floats.end()), values) << name;
}

void expect_integers(const Weights& weights, const std::string& name,
                     const std::vector<std::int64_t>& values) {
  ASSERT_TRUE(weights.contains(name)) << name;
  ASSERT_EQ(weights.at(name).dtype, runtime::DType::int64) << name;
  const auto integers = weights.at(name).integers();
  EXPECT_EQ(std::vector<std::int64_t>(integers.begin(), integers.end()), values) << name;
}

void expect_network(const Weights& weights, bool buffers) {
  expect_floats(weights, "0.weight", {2, 1, 3, 3}, counted(18, 0));
  expect_floats(weights, "0.bias", {2}, counted(2, 100));
  expect_floats(weights, "1.weight", {2}, counted(2, 200));
  expect_floats(weights, "1.bias", {2}, counted(2, 300));
  expect_floats(weights, "2.weight", {2, 2}, counted(4, 700));
  expect_floats(weights, "2.bias", {2}, counted(2, 800));
  EXPECT_EQ(weights.size(), buffers ? 9U : 6U);
  if (!buffers) return;
  expect_floats(weights, "1.running_mean", {2}, counted(2, 400));
  expect_floats(weights, "1.running_var", {2}, counted(2, 500));
  expect_integers(weights, "1.num_batches_tracked", {600});
  EXPECT_TRUE(weights.at("1.num_batches_tracked").shape.empty());
}

TEST(StateDict, is_read_in_every_protocol_of_torch_save) {
  for (const char* name : {"plain.pt", "protocol3.pt", "protocol4.pt", "protocol5.pt", "parameters.pt"}) {
    const auto weights = read_weights(fixture(name));
    ASSERT_THAT(weights, IsOk()) << name;
    expect_network(*weights, std::string_view(name) != "parameters.pt");
  }
}

TEST(StateDict, reads_views_of_any_strides_and_shared_storages) {
  const auto weights = read_state_dict(fixture("views.pt"));
  ASSERT_THAT(weights, IsOk());
  expect_floats(*weights, "transposed", {4, 3}, {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  expect_floats(*weights, "second_row", {4}, {4, 5, 6, 7});
  expect_floats(*weights, "every_other", {3, 2}, {0, 2, 4, 6, 8, 10});
  expect_floats(*weights, "expanded", {2, 3}, {0, 0, 0, 0, 0, 0});
}

TEST(StateDict, widens_every_dtype) {
  const auto weights = read_state_dict(fixture("dtypes.pt"));
  ASSERT_THAT(weights, IsOk());
  expect_floats(*weights, "half", {4}, {-0.5F, -0.25F, 0.0F, 0.25F});
  expect_floats(*weights, "tiny_half", {4},
                {0x1p-24F, -0x1p-15F, 65504.0F, std::numeric_limits<float>::infinity()});
  expect_floats(*weights, "bfloat16", {4}, {0.0F, -1.5F, -3.0F, -4.5F});
  EXPECT_TRUE(std::signbit(weights->at("bfloat16").floats()[0]));
  expect_floats(*weights, "double", {2, 2}, {0, 0.5F, 1, 1.5F});
  for (const char* name : {"int", "short", "char"}) expect_integers(*weights, name, {-1, 0, 1});
  expect_integers(*weights, "byte", {253, 254, 255});
  expect_integers(*weights, "bool", {1, 0, 1});
  expect_integers(*weights, "scalar", {7});
  expect_floats(*weights, "empty", {0, 5}, {});
}

struct Refusal {
  const char* file;
  const char* why;
};
class OtherFiles : public ::testing::TestWithParam<Refusal> {};

TEST_P(OtherFiles, are_refused_with_what_they_are) {
  EXPECT_THAT(read_weights(fixture(GetParam().file)),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr(GetParam().file), HasSubstr(GetParam().why))));
  EXPECT_FALSE(std::filesystem::exists("outcrop-was-here"));
}

INSTANTIATE_TEST_SUITE_P(
    StateDict, OtherFiles,
    ::testing::Values(
        Refusal{"runs_a_command.pt", "it would call posix.system: a state_dict calls nothing but"},
        Refusal{"whole_model.pt", "a whole model (torch.nn.modules.container.Sequential)"},
        Refusal{"checkpoint.pt", "under 'state_dict'; save one alone: torch.save(torch.load(FILE)['state_dict']"},
        Refusal{"script.pt", "it is a TorchScript archive (torch.jit.save)"},
        Refusal{"before_1_6.pt", "before PyTorch 1.6"},
        Refusal{"pickle_alone.pt", "a bare pickle"},
        Refusal{"compressed.pt", "is compressed"},
        Refusal{"quantized.pt", "a quantized tensor"},
        Refusal{"sparse.pt", "a sparse tensor"},
        Refusal{"complex.pt", "a complex tensor"},
        Refusal{"meta.pt", "a meta tensor"},
        Refusal{"README.md", "no .safetensors file"}));

// Pickles by hand, in the words of Python's pickletools.
const std::string proto("\x80\x02", 2);
std::string text(const std::string& value) {
  return std::string("\x8c", 1) + static_cast<char>(value.size()) + value;
}
std::string number(std::int64_t value) {
  std::string code("\x8a\x08", 2);
  for (int i = 0; i < 8; ++i) code += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  return code;
}
std::string tuple(const std::vector<std::int64_t>& values) {
  std::string code = "(";
  for (const std::int64_t value : values) code += number(value);
  return code + "t";
}
struct Place {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;
  std::int64_t elements = 4;
  std::string type = "FloatStorage";
  std::string device = "cpu";
};
std::string tensor(const Place& place) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + place.type + "\n" + text("0") +
         text(place.device) + number(place.elements) + "tQ" + number(place.offset) + tuple(place.shape) +
         tuple(place.strides) + "\x89" + "ccollections\nOrderedDict\n)RtR";
}
std::string dict_of(const std::string& value) {
  return proto + "}" + text("w") + value + "s.";
}
Result<Weights> read_archive(const std::string& pickle, const std::string& storage = std::string(16, '\0'),
                             const Entries& more = {}) {
  Entries entries{{"w/data.pkl", pickle}, {"w/data/0", storage}};
  entries.insert(entries.end(), more.begin(), more.end());
  const std::string file = zip_of(entries);
  return decode_state_dict(as_bytes(file));
}

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

TEST(StateDict, keeps_tensors_within_their_storages) {
  const auto read = [](const Place& place) { return read_archive(dict_of(tensor(place))); };
  EXPECT_THAT(read({{2, 2}, {2, 1}}), IsOk());
  EXPECT_THAT(read({{1, 4}, {most, 1}}), IsOk());
  EXPECT_THAT(read({{0, 4}, {most, most}}), IsOk());
  EXPECT_THAT(read({{}, {}, 3}), IsOk());
  const char* const beyond = "'w': it reaches beyond the 4 values of its storage";
  EXPECT_THAT(read({{2, 2}, {3, 1}}), refused(beyond));
  EXPECT_THAT(read({{2, 2}, {2, 1}, 1}), refused(beyond));
  EXPECT_THAT(read({{}, {}, 4}), refused(beyond));
  EXPECT_THAT(read({{4}, {1}, -1}), refused(beyond));
  EXPECT_THAT(read({{4}, {1}, most}), refused(beyond));
  EXPECT_THAT(read({{3}, {most}}), refused(beyond));
  EXPECT_THAT(read({{2, 2}, {most, most}}), refused(beyond));
  EXPECT_THAT(read({{4}, {-1}, 3}), refused("stride of -1"));
  EXPECT_THAT(read({{-4}, {1}}), refused("dimension of -4"));
  EXPECT_THAT(read({{most, most}, {0, 0}}), refused("more bytes than fit"));
  EXPECT_THAT(read({{1 << 20}, {0}}), refused("16 times as large as the file"));
  EXPECT_THAT(read({{4}, {1, 1}}), refused("other strides than sizes"));
  EXPECT_THAT(read({{1}, {1}, 0, 5}), refused("takes 16 bytes, where 5 values of 4 bytes"));
  EXPECT_THAT(read({{1}, {1}, 0, most}), refused("takes 16 bytes"));
  EXPECT_THAT(read({{1}, {1}, 0, -1}), refused("describes a storage"));
  EXPECT_THAT(read({{1}, {1}, 0, 4, "QInt8Storage"}), refused("quantized tensor (torch.QInt8Storage)"));
  EXPECT_THAT(read({{1}, {1}, 0, 4, "FloatStorage", "meta"}), refused("meta tensor"));
}

TEST(StateDict, refuses_what_rebuilds_no_tensors) {
  const std::string good = tensor({{2}, {1}});
  const auto read = [](const std::string& pickle) { return read_archive(pickle); };
  ASSERT_THAT(read(dict_of(good)), IsOk());
  EXPECT_THAT(read(proto + "cos\nsystem\n" + text("true") + "\x85R."), refused("it would call os.system"));
  EXPECT_THAT(read("\x80\x04" + text("os") + text("system") + "\x93."), refused("it would call os.system"));
  EXPECT_THAT(read(dict_of("ctorch.storage\n_load_from_bytes\n)R")),
              refused("it would call torch.storage._load_from_bytes"));
  EXPECT_THAT(read(dict_of("ccollections\nOrderedDict\n)\x81")), refused("opcode NEWOBJ"));
  EXPECT_THAT(read(dict_of("(ios\nsystem\n")), refused("opcode INST"));
  EXPECT_THAT(read(dict_of("\xff")), refused("byte 0xff, which is no opcode"));
  EXPECT_THAT(read(std::string("\x80\x06}.", 4)), refused("protocol 6; 2 to 5"));
  EXPECT_THAT(read("}."), refused("does not begin as a pickle"));
  EXPECT_THAT(read(dict_of(good) + "."), refused("1 bytes follow its end"));
  EXPECT_THAT(read(proto + "}}."), refused("does not end with one value"));
  EXPECT_THAT(read(proto + "s."), refused("takes a value where there is none"));
  EXPECT_THAT(read(proto + "}(s."), refused("takes a value where there is none"));
  EXPECT_THAT(read(proto + "t."), refused("a mark where there is none"));
  EXPECT_THAT(read(proto + "h\x01."), refused("never noted"));
  EXPECT_THAT(read(proto + "}(" + text("w") + "u."), refused("a key without a value"));
  EXPECT_THAT(read(proto + "}" + text("w") + good + "s" + text("w") + good + "s."), refused("'w' is there twice"));
  EXPECT_THAT(read(proto + "}" + text("") + good + "s."), refused("without a name"));
  EXPECT_THAT(read(proto + "}" + number(1) + good + "s."), refused("keys that are no names"));
  EXPECT_THAT(read(dict_of(number(3))), refused("'w', which is no tensor"));
  EXPECT_THAT(read(proto + "}."), refused("holds no tensors"));
  EXPECT_THAT(read(proto + good + "."), refused("no dict of tensors"));
  EXPECT_THAT(read(proto + "ccollections\nOrderedDict\n)R}" + text("x") + "NsbN."), refused("sets attributes"));
  EXPECT_THAT(read(dict_of(good + "}b")), refused("an OrderedDict belongs"));
  EXPECT_THAT(read(proto + "\x8a\x09" + "123456789."), refused("more than 64 bits"));
  EXPECT_THAT(read(proto + std::string(100, '(')), refused("nests too deeply"));
  EXPECT_THAT(read(proto + std::string(70000, 'N')), refused("too many values waiting"));
  EXPECT_THAT(read(std::string("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 12)), refused("cut short"));
  // A value that contains itself: nothing here follows it.
  EXPECT_THAT(read(proto + "}q\x01" + text("w") + "h\x01s."), refused("'w', which is no tensor"));
}

TEST(StateDict, refuses_archives_that_torch_save_does_not_write) {
  const std::string good = dict_of(tensor({{2}, {1}}));
  const std::string storage(16, '\0');
  EXPECT_THAT(read_archive(good, storage, {{"w/byteorder", "little"}, {"w/version", "3\n"}}), IsOk());
  EXPECT_THAT(read_archive(good, storage, {{"w/byteorder", "big"}}), refused("byte order is 'big'"));
  EXPECT_THAT(read_archive(good, storage, {{"v/data.pkl", good}}), refused("not in one folder"));
  EXPECT_THAT(read_archive(good, storage, {{"w/code/a.py", ""}}), refused("TorchScript"));
  const std::string lost = zip_of({{"w/data.pkl", good}});
  EXPECT_THAT(decode_state_dict(as_bytes(lost)), refused("'w/data/0' is missing"));
  const std::string empty = zip_of({});
  EXPECT_THAT(decode_state_dict(as_bytes(empty)), refused("archive is empty"));
  const double huge = 1e300;
  EXPECT_THAT(read_archive(dict_of(tensor({{1}, {1}, 0, 1, "DoubleStorage"})),
                           std::string(reinterpret_cast<const char*>(&huge), sizeof(huge))),
              refused("'w': a float64 of it is larger"));
}

// A file with one place changed is refused, or means tensors; it ends nothing.
TEST(StateDict, survives_every_cut_and_every_changed_byte) {
  for (const char* name : {"plain.pt", "protocol4.pt", "views.pt"}) {
    const std::string file = fixture_bytes(name);
    for (std::size_t length = 0; length < file.size(); ++length) {
      EXPECT_THAT(decode_state_dict(as_bytes(file.substr(0, length))), refused("")) << name << " cut at " << length;
    }
    for (std::size_t i = 0; i < file.size(); ++i) {
      std::string changed = file;
      changed[i] = static_cast<char>(~changed[i]);
      const auto weights = decode_state_dict(as_bytes(changed));
      if (!weights) {
        EXPECT_THAT(weights, refused("")) << name << " changed at " << i;
      }
    }
  }
}

// With its checksum made good, so that the change reaches the machine.
TEST(StateDict, survives_every_changed_byte_of_a_pickle) {
  for (const char* name : {"views.pt", "protocol4.pt"}) {
    const std::string file = fixture_bytes(name);
    const auto zip = StoredZip::open(as_bytes(file));
    ASSERT_THAT(zip, IsOk());
    Entries entries;
    std::string* pickle = nullptr;
    entries.reserve(zip->entries().size());
    for (const auto& [entry, content] : zip->entries()) {
      entries.emplace_back(entry, as_text(content.data));
      if (entry.ends_with("data.pkl")) pickle = &entries.back().second;
    }
    ASSERT_NE(pickle, nullptr);
    ASSERT_THAT(decode_state_dict(as_bytes(zip_of(entries))), IsOk());
    for (std::size_t i = 0; i < pickle->size(); ++i) {
      const char right = (*pickle)[i];
      for (const int bits : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
        (*pickle)[i] = static_cast<char>(right ^ bits);
        const std::string changed = zip_of(entries);
        const auto weights = decode_state_dict(as_bytes(changed));
        if (!weights) {
          EXPECT_THAT(weights, refused("")) << name << " changed at " << i;
        }
      }
      (*pickle)[i] = right;
    }
    for (std::size_t length = 0; length < pickle->size(); ++length) {
      EXPECT_THAT(read_state_pickle(as_bytes(*pickle).first(length)), refused("")) << name << " cut at " << length;
    }
  }
}

TEST(WeightsFile, is_told_by_its_first_bytes) {
  const TemporaryFolder folder;
  const std::vector<float> values = counted(4, 1);
  const auto path = folder.path() / "named.pt";
  ASSERT_THAT(runtime::write_tensor_file(path, std::vector{runtime::Tensor::of_floats("w", {2, 2}, values)}), IsOk());
  const auto weights = read_weights(path);
  ASSERT_THAT(weights, IsOk());
  expect_floats(*weights, "w", {2, 2}, values);
  EXPECT_THAT(read_weights(folder.path() / "none.pt"), ErrorIs(ErrorCode::not_found, HasSubstr("none.pt")));
  EXPECT_THAT(read_weights(folder.path()), refused("not a regular file"));
  ASSERT_THAT(write_file_durably(path, std::string_view()), IsOk());
  EXPECT_THAT(read_weights(path), refused("it is empty"));
  ASSERT_THAT(write_file_durably(path, std::string_view("outcrop weights 1\n{}\n")), IsOk());
  EXPECT_THAT(read_weights(path), refused("Outcrop's own training"));
}

// A header of 0x0280 bytes: the file begins as a pickle of protocol 2 does.
TEST(WeightsFile, takes_no_safetensors_for_a_pickle) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "w.safetensors";
  std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.resize(0x280, ' ');
  ASSERT_THAT(write_file_durably(path, std::string("\x80\x02\0\0\0\0\0\0", 8) + header + std::string(4, '\0')), IsOk());
  EXPECT_THAT(read_weights(path), IsOk());
}

}  // namespace
}  // namespace outcrop::weights
