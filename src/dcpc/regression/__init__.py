"""Logistic ridge regression of judgements with effects of annotators: for DCPC's readout and for the linear probe."""
