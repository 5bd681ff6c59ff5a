"""Networks: data sets, import, quantisation, lowering and inference."""
