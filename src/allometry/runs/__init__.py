"""A run as data: the folder that a verb works in, and its results, declared here and nowhere else."""

from allometry.runs.epochs import (
    EpochMetrics,
    EpochRecord,
    GradientEpochMetrics,
    GrowthPhase,
    GrowthSchedule,
    SupernetEpochMetrics,
)
from allometry.runs.evaluation import CalibrationBin, ClassMetrics, Evaluation, Explanation, Interval, Mistake
from allometry.runs.export import Export, NoisyLayer, QuantizationQuality, Verification
from allometry.runs.label_evaluation import LabelMetrics, MultiLabelEvaluation
from allometry.runs.phases import Phase
from allometry.runs.reading import read_run
from allometry.runs.record import RunRecord, SupernetRecord
from allometry.runs.records import (
    ClassSizes,
    CostEntry,
    DataSummary,
    GrowthPlan,
    LawTrialRecord,
    MeasuredSubnet,
    RejectedFile,
    SearchPlan,
    SearchTrialRecord,
)
from allometry.runs.results import (
    ExtractResult,
    FitResult,
    GrowthResult,
    RivalLaw,
    RunResult,
    SearchResult,
    SizeAccuracy,
    SubnetAccuracy,
    SupernetResult,
    TrainedLaw,
    TrainResult,
)
from allometry.runs.sharing import HubUpload
from allometry.runs.subnets import PredictedBin, PredictorQuality, Subnet, SubnetCandidate, SubnetFront
from allometry.runs.values import Record

__all__ = [
    "CalibrationBin",
    "ClassMetrics",
    "ClassSizes",
    "CostEntry",
    "DataSummary",
    "EpochMetrics",
    "EpochRecord",
    "Evaluation",
    "Explanation",
    "Export",
    "ExtractResult",
    "FitResult",
    "GradientEpochMetrics",
    "GrowthPhase",
    "GrowthPlan",
    "GrowthResult",
    "GrowthSchedule",
    "HubUpload",
    "Interval",
    "LabelMetrics",
    "LawTrialRecord",
    "MeasuredSubnet",
    "Mistake",
    "MultiLabelEvaluation",
    "NoisyLayer",
    "Phase",
    "PredictedBin",
    "PredictorQuality",
    "QuantizationQuality",
    "Record",
    "RejectedFile",
    "RivalLaw",
    "RunRecord",
    "RunResult",
    "SearchPlan",
    "SearchResult",
    "SearchTrialRecord",
    "SizeAccuracy",
    "Subnet",
    "SubnetAccuracy",
    "SubnetCandidate",
    "SubnetFront",
    "SupernetEpochMetrics",
    "SupernetRecord",
    "SupernetResult",
    "TrainResult",
    "TrainedLaw",
    "Verification",
    "read_run",
]
