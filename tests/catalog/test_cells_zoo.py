"""How the searched networks are wired; their counts are in the golden file."""

from allometry.arch import Cell
from allometry.catalog import amoebanet, nasnet
from allometry.catalog.genotypes import Genotype, cell


def nodes_of(block: object) -> dict[str, tuple[str, ...]]:
    assert isinstance(block, Cell)
    return {node.name: node.inputs for node in block.nodes}


def test_the_second_state_fits_the_cell_two_before():
    network = amoebanet.amoebanet("b", channels=64)
    first, second, halved, untouched, squeezed = (nodes_of(stage.block) for stage in network.stages[:5])
    assert first["comb_iter_1_right"] == ("input",)  # no cell is two before the first
    assert second["path_2"] == halved["path_2"] == ("skip",)
    assert untouched["comb_iter_0_left"] == ("skip",)  # 2 x 32 channels are 64 already
    assert squeezed["conv_prev_1x1"] == ("skip",)


def test_cells_after_a_reduction_of_the_large_nasnet_read_past_it():
    large, mobile = nasnet.large(), nasnet.mobile()
    placed = [stage.block.passes for stage in large.stages if stage.block.label == "reduction cell"]
    assert placed == ["skip", "skip"]
    assert {stage.block.passes for stage in mobile.stages} == {"input"}


def test_a_state_that_no_operation_halves_is_halved_for_the_output():
    genotype = Genotype(steps=((("max 3x3", 0), ("separable 3x3", 1)),), outputs=(0, 2))
    nodes = nodes_of(cell(genotype, 9, stride=2))
    assert nodes["cell_output"] == ("reduction_0_final_path_bn", "comb_iter_0")
    assert nodes["reduction_0_path_1"] == ("conv_1x1",)
    assert "reduction_0_path_1" not in nodes_of(cell(genotype, 9))
